//! What a program prints is shown once, however often the user goes over it.

use std::process::Command;
use std::sync::LazyLock;

use regex::Regex;

use crate::native::Sample;
use crate::world::{PDB, World};
use crate::{Dice, sessions};

/// Lines that end where writes do and lines that do not, empty ones, and more than one at a time.
const PRINTS: &str = "\
import os, sys
def spell(i):
    print('in', i)
    if i == 2:
        raise ValueError(i)
    print()
    return i
def main():
    for i in range(4):
        print('round', i, end='')
        print('.', end=' ')
        try:
            spell(i)
        except ValueError as error:
            print('caught', error)
        sys.stderr.write('error %d\\n' % i)
        sys.stdout.write('two\\nlines\\n')
main()
print('end', flush=True)
os._exit(0)
";

/// What the debugger prints.
static OWN: LazyLock<Regex> = LazyLock::new(|| {
    let others =
        r"--Call--\n|--Return--\n|(?:Deleted b|B)reakpoint [^\n]*\n|ValueError: 2\n|\*\*\* [^\n]*\n|fred: [^\n]*\n";
    Regex::new(&format!(r"{others}|> /[^\n]*prog\.py\(\d+\)[^\n]*\n-> [^\n]*\n")).expect("a pattern")
});

const MOVES: [&str; 16] = [
    "next",
    "next",
    "next",
    "next",
    "step",
    "step",
    "return",
    "continue",
    "fred-undo",
    "fred-undo 2",
    "fred-undo 5",
    "fred-redo",
    "fred-reverse-next",
    "fred-reverse-next 3",
    "fred-reverse-step 2",
    "fred-reverse-continue",
];

/// What the program prints when nobody looks on.
fn plain(world: &World) -> String {
    let mut run = Command::new("sh");
    run.args(["-c", "exec python3 -u prog.py 2>&1"]).current_dir(world.path());
    String::from_utf8(run.output().expect("the program runs").stdout).expect("text")
}

#[test]
fn every_line_is_shown_once() {
    // Only one of them writes line by line.
    for (seed, unbuffered) in (1..=2 * sessions()).zip(["", "1"].into_iter().cycle()) {
        let world = World::new().file("prog.py", PRINTS);
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut lines = ["break 10", "tbreak 20", "continue"].map(str::to_owned).to_vec();
        lines.extend((0..18).map(|_| dice.roll(&MOVES).to_owned()));
        lines.extend(["fred-undo 2", "clear 1", "clear 2", "continue"].map(str::to_owned));
        world.fred_in(&[("PYTHONUNBUFFERED", unbuffered)], &[], PDB, &["prog.py"], &lines);
        let output = world.output();
        assert_eq!(OWN.replace_all(&output, ""), plain(&world), "seed {seed}: {lines:?}\n{output}");
        assert_eq!(world.diverged(), 0, "{lines:?}");
    }
}

const CHANGED: &str = "\
x = 4
print('one')
print('x is', x)
print('two')
end = 1
";

#[test]
fn what_differs_after_a_change_is_shown_and_known_from_then_on() {
    let world = World::new().file("prog.py", CHANGED);
    let lines =
        ["tbreak 5", "continue", "fred-reverse-next 2", "!x = 5", "next", "next", "fred-undo 2", "next", "next"];
    world.fred_in(&[("PYTHONUNBUFFERED", "")], &[], PDB, &["prog.py"], &lines.map(str::to_owned));
    assert_eq!(OWN.replace_all(&world.output(), ""), "one\nx is 4\ntwo\nx is 5\ntwo\n", "{}", world.output());
}

const ASKS: &str = r#"
#include <stdio.h>

int main(void)
{
    char name[20];
    printf("hello\nname? ");
    fflush(stdout);
    if (!fgets(name, sizeof name, stdin))
        printf("nobody\n");
    return 0;
}
"#;

/// Nobody is there, so that the answer is the end of input each time.
#[test]
fn a_native_programs_question_is_shown_where_it_is_asked_again() {
    let sample = Sample::of("program.c", ASKS);
    let world = World::at(sample.path());
    let lines = ["break 8", "run", "next", "next", "fred-undo 3", "run", "next", "next"];
    world.fred(&["gdb", "-q", "-nx"], &["./program"], &lines.map(str::to_owned));
    let output = world.output();
    let times = |text: &str| output.matches(text).count();
    assert_eq!((times("hello\n"), times("name? "), times("nobody\n")), (1, 2, 1), "{output}");
}
