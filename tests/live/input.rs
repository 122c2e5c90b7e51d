//! Programs that read the terminal.

use crate::live::{Live, Start};

const ASKS: &str = "\
name = input('name? ')
age = int(input('age? '))
print('hello', name, age)
done = True
";

#[test]
fn input_is_asked_again_when_it_is_live() {
    let mut s = Live::program(ASKS);
    s.types("next").until("name? ").types("Zoë").prompt().stops_at("prog.py:2").prints("p name", "'Zoë'");
    s.types("next").until("age? ").types("7").prompt().stops_at("prog.py:3");
    s.say("fred-undo").stops_at("prog.py:2").types("next").until("age? ").types("8").prompt().prints("p age", "8");
    s.say("fred-undo").say("fred-redo").prints("p age", "8");
    s.say("fred-undo 2").types("continue").until("name? ").types("Al").until("age? ").types("9").prompt();
    s.shows("hello Al 9");
    s.types("q").ends(0);
}

#[test]
fn reverse_moves_use_what_was_typed() {
    let mut s = Live::program(ASKS);
    s.types("tbreak 4").prompt();
    s.types("continue").until("name? ").types("Al").until("age? ").types("9").prompt().stops_at("prog.py:4");
    s.say("fred-reverse-step").stops_at("prog.py:3").hides("name?").prints("p age", "9");
    s.say("fred-reverse-next").stops_at("prog.py:2").prints("p name", "'Al'");
    s.say("fred-undo 2").say("fred-reverse-watch age").stops_at("prog.py:2");
    // Asked live again: this is a new line of history.
    s.types("next").until("age? ").types("10").prompt().prints("p age", "10");
    s.types("q").ends(0);
}

#[test]
fn passwords_are_not_shown() {
    let mut s = Live::program("import getpass\nword = getpass.getpass('secret: ')\nprint(len(word))\nend = 1\n");
    s.say("next").types("next").until("secret: ").types("xyzzy").prompt().stops_at("prog.py:3");
    assert!(!s.seen().contains("xyzzy"), "{}", s.seen());
    s.prints("p len(word)", "5").say("fred-reverse-step").say("fred-undo").prints("p len(word)", "5");
    s.say("fred-undo").types("next").until("secret: ").types("abc").prompt().prints("p len(word)", "3");
    s.types("q").ends(0);
}

#[test]
fn echo_off_with_termios() {
    let text = "\
import sys, termios
old = termios.tcgetattr(0)
new = termios.tcgetattr(0)
new[3] &= ~termios.ECHO
termios.tcsetattr(0, termios.TCSANOW, new)
print('quiet', flush=True)
line = sys.stdin.readline()
termios.tcsetattr(0, termios.TCSANOW, old)
print('got', len(line))
";
    let mut s = Live::program(text);
    s.say("tbreak 9").types("c").until("quiet\n").types("hush hush").prompt().stops_at("prog.py:9");
    assert!(!s.seen().contains("hush hush"), "{}", s.seen());
    s.say("n").shows("got 10");
    s.types("q").ends(0);
}

#[test]
fn a_program_that_closes_its_input() {
    let mut s = Live::program("import os, sys\nsys.stdin.close()\nx = 1\nprint('after')\n");
    // pdb itself cannot read any more and ends.
    s.say("tbreak 4")
        .say("c")
        .shows("I/O operation on closed file")
        .shows("fred: the debugger has ended with status 1");
    s.say("fred-undo").stops_at("prog.py:1").say("n").stops_at("prog.py:2");
    s.types("q").ends(0);
}

#[test]
fn end_of_input_for_the_program() {
    let mut s = Live::program("import sys\ntext = sys.stdin.read()\nx = len(text)\nprint(x)\n");
    s.say("next").types("next").until("\n").types("one").keys(b"\x04").prompt().stops_at("prog.py:3");
    s.prints("p text", "'one\\n'");
    s.types("q").ends(0);
}

#[test]
fn a_program_with_the_same_prompt() {
    let text = "\
import os, time
print('(Pdb) ', end='', flush=True)
total = sum(range(3000000))
a = input('(Pdb) ')
b = input('(Pdb) ')
print('had', a, b)
end = 1
";
    let mut s = Live::program(text);
    s.say("tbreak 7").types("continue").until("(Pdb) (Pdb) ").types("one").until("(Pdb) ").types("two").prompt();
    s.shows("had one two").stops_at("prog.py:7").prints("p a, b", "('one', 'two')");
    s.say("fred-undo").stops_at("prog.py:1").say("fred-redo").stops_at("prog.py:7");
    s.say("fred-reverse-next")
        .stops_at("prog.py:6")
        .say("fred-reverse-next")
        .stops_at("prog.py:5")
        .prints("p a", "'one'");
    s.types("next").until("(Pdb) ").types("three").prompt().stops_at("prog.py:6").prints("p b", "'three'");
    s.types("q").ends(0);
}

#[test]
fn a_program_that_is_an_interpreter() {
    let text = "\
while True:
    line = input('>>> ')
    if line == 'stop':
        break
    print('=', line.upper())
end = 1
";
    let mut s = Live::program(text);
    s.say("tbreak 6").types("continue").until(">>> ").types("abc").until("= ABC\n>>> ").types("stop").prompt();
    s.stops_at("prog.py:6").say("fred-reverse-step").stops_at("prog.py:4");
    s.types("q").ends(0);
}

#[test]
fn keys_one_by_one() {
    let text = "\
import sys, termios, tty
old = termios.tcgetattr(0)
print('ready', flush=True)
tty.setraw(0)
key = sys.stdin.read(1)
termios.tcsetattr(0, termios.TCSADRAIN, old)
print('key', key)
end = 1
";
    let mut s = Live::program(text);
    s.say("tbreak 8").types("c").until("ready").keys(b"k").prompt().shows("key k").stops_at("prog.py:8");
    s.say("fred-reverse-step").stops_at("prog.py:7").prints("p key", "'k'");
    s.types("q").ends(0);
}

#[test]
fn a_child_reads_the_terminal() {
    let text = "import subprocess\nsubprocess.run(['sh', '-c', 'echo who?; read x; echo got $x'])\nx = 1\n";
    let mut s = Live::program(text);
    s.say("next").types("next").until("who?\n").types("me").prompt().shows("got me").stops_at("prog.py:3");
    s.say("fred-reverse-next").stops_at("prog.py:2").hides("got me");
    // It ran once, and is not run again.
    s.say("next").hides("who?").stops_at("prog.py:3");
    s.types("q").ends(0);
}

#[test]
fn a_child_reads_the_terminal_again_where_nothing_is_recorded() {
    let text = "import subprocess\nsubprocess.run(['sh', '-c', 'echo who?; read x; echo got $x'])\nx = 1\n";
    let mut s = Start::new().file("prog.py", text).options(&["--no-record"]).python(&["-m", "pdb", "prog.py"]).live();
    s.say("next").types("next").until("who?\n").types("me").prompt().shows("got me").stops_at("prog.py:3");
    s.say("fred-reverse-next").stops_at("prog.py:2").hides("got me");
    s.types("next").until("who?\n").types("you").prompt().shows("got you");
    s.types("q").ends(0);
}

#[test]
fn input_from_a_script_goes_to_the_program() {
    let done = Start::new()
        .file("prog.py", ASKS)
        .options(&["--batch", "-e", "tbreak 4", "-e", "continue", "-e", "p (name, age)"])
        .python(&["-m", "pdb", "prog.py"])
        .piped("Al\n12\n");
    assert_eq!(done.status, Some(0), "{done:?}");
    assert!(done.stdout.contains("('Al', 12)"), "{done:?}");
}
