//! Ctrl-C, Ctrl-D, Ctrl-Z, the window, the line editor.

use crate::live::{Live, Start};

const LONG: &str = "\
import time
count = 0
print('running', flush=True)
while True:
    count += 1
    if count % (1 << 20) == 0:
        print('still', flush=True)
";

#[test]
fn ctrl_c_interrupts_the_program() {
    let mut s = Live::program(LONG);
    s.types("continue").until("still\n").ctrl_c().prompt();
    s.shows("Program interrupted. (Use 'cont' to resume).").say("!count = -1").say("fred-undo");
    s.say("p count > 0").is("True").say("fred-undo").stops_at("prog.py:1");
    s.say("fred-redo").say("p count > 0").is("True").say("fred-reverse-step").say("p count > 0").is("True");
    s.types("continue").until("still\n").ctrl_c().prompt().shows("Program interrupted");
    s.types("q").ends(0);
}

#[test]
fn ctrl_c_at_the_prompt() {
    let mut s = Live::program(LONG);
    s.keys(b"half a line").until("half a line").ctrl_c().prompt();
    s.prints("p 1", "1").ctrl_c().prompt().prints("p 2", "2").say("next").stops_at("prog.py:2");
    s.ctrl_c().prompt().say("fred-undo").stops_at("prog.py:1");
    s.types("q").ends(0);
}

#[test]
fn ctrl_c_stops_a_search() {
    let text = "n = 0\nwhile n < 3000000:\n    n += 1\nprint('done')\n";
    let mut s = Live::program(text);
    s.say("tbreak 4").say("c").stops_at("prog.py:4");
    s.types("fred-reverse-watch n < 0").until("Ctrl-C stops").ctrl_c().prompt().shows("fred: interrupted");
    s.prints("p n", "3000000").say("fred-undo").say("p n").shows("NameError");
    s.types("q").ends(0);
}

#[test]
fn ctrl_d_is_quit() {
    let mut s = Live::program(LONG);
    s.say("next").ctrl_d().ends(0);
    let mut s = Start::new().file("prog.py", "breakpoint()\nprint('x')\n").python(&["prog.py"]).live();
    s.ctrl_d().ends(1);
}

#[test]
fn ctrl_z_and_back() {
    let mut s = Start::new().file("prog.py", LONG).python(&["-m", "pdb", "prog.py"]).shell();
    s.types("$FRED -- $PYTHON -m pdb prog.py").prompt();
    s.say("next")
        .keys(b"\x1a")
        .until("shell> ")
        .types("fg")
        .prompt_again()
        .say("next")
        .stops_at("prog.py:3")
        .prints("p count", "0");
    s.types("q").until("shell> ").types("exit 0").ends(0);
}

#[test]
fn the_window() {
    let text = "import shutil\nwhile True:\n    print('size', *shutil.get_terminal_size())\n    breakpoint()\n";
    let mut s = Start::new().file("prog.py", text).python(&["prog.py"]).live();
    s.shows("size 80 24").resize(40, 132).say("c").shows("size 132 40");
    s.say("fred-undo").say("c").hides("size").say("c").shows("size 132 40");
    s.types("q").ends(1);
}

#[test]
fn long_lines_and_other_letters() {
    let mut s = Live::program("x = 1\n");
    let long = "a".repeat(10_000);
    s.say(&format!("p len('{long}')")).shows_last("10000");
    s.prints("p 'grüße, 世界 🎉'", "'grüße, 世界 🎉'");
    s.say("!word = 'žluť'").prints("p word", "'žluť'");
    s.types("q").ends(0);
}

#[test]
fn lines_typed_ahead_and_pasted() {
    let mut s =
        Live::program("x = 1\nx = 2\nx = 3\nx = sum(range(5000000))\nprint('five', flush=True)\nx = 6\nx = 7\n");
    s.keys(b"next\rnext\rp 'ahead', x\r").until("('ahead', 2)\n(Pdb) ");
    s.say("tbreak 6").keys(b"continue\r").until("\n").keys(b"p 'while it ran'\r").until("'while it ran'\n(Pdb) ");
    s.say("fred-undo").stops_at("prog.py:3");
    s.keys(b"\x1b[200~next\np 'pasted', x\n\x1b[201~\r").until("('pasted', 3)\n(Pdb) ");
    s.say("fred-undo").stops_at("prog.py:3").prints("p x", "2");
    s.types("q").ends(0);
}

#[test]
fn the_window_changes_while_the_program_runs() {
    let text = "\
import shutil
print('on', flush=True)
while shutil.get_terminal_size().columns == 80:
    pass
print('size', *shutil.get_terminal_size())
end = 1
";
    let mut s = Live::program(text);
    s.say("tbreak 6").types("continue").until("on\n").resize(30, 100).prompt().shows("size 100 30");
    s.say("fred-undo").say("fred-redo").stops_at("prog.py:6");
    s.types("q").ends(0);
}

#[test]
fn ctrl_c_at_a_question_of_the_program() {
    let mut s = Live::program("name = input('name? ')\nprint(name)\nend = 1\n");
    s.types("next").until("name? ").until_it_reads().ctrl_c().prompt();
    s.shows("KeyboardInterrupt").stops_at("prog.py:1").say("fred-undo").stops_at("prog.py:1");
    s.types("next").until("name? ").types("Ann").prompt().prints("p name", "'Ann'");
    s.types("q").ends(0);
}

#[test]
fn tab_completes() {
    let mut s = Live::program("remarkable = 1\n");
    s.say("next");
    s.keys(b"p remar\t").until("p remarkable").keys(b"\r").prompt().shows("1");
    s.keys(b"fred-reverse-w\t").until("fred-reverse-watch").keys(b"\x15\r").prompt();
    s.types("q").ends(0);
}

#[test]
fn the_history_is_kept() {
    let mut s = Live::program("x = 1\n");
    s.say("p 'first one'").keys(b"\x1b[A\r").prompt().shows("first one");
    let file = s.path(".local/state/fred/history");
    let text = std::fs::read_to_string(&file).expect("a history");
    assert!(text.contains("p 'first one'"), "{text}");
    s.types("q").ends(0);
}
