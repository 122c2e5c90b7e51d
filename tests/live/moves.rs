//! Undo, redo, reverse moves, checkpoints and branches at a pdb prompt, and pdb's own commands between them.

use crate::live::{Live, Start};

const COUNT: &str = "\
total = 0
for i in range(4):
    total += i
    square = i * i
print('total', total)
";

const CALLS: &str = "\
def double(x):
    y = x * 2
    return y

def main():
    a = double(1)
    b = double(a)
    c = a + b
    return c

r = main()
print(r)
";

#[test]
fn the_first_example() {
    let mut s = Live::pdb("autocount.py");
    s.say("break 28").say("continue").stops_at("autocount.py:28").prints("p num", "9");
    s.say("fred-reverse-watch num < 5").stops_at("autocount.py:12").prints("p num", "4");
    s.say("next").stops_at("autocount.py:13").prints("p num", "5");
    s.types("quit").ends(0);
}

#[test]
fn the_start_of_the_history() {
    let mut s = Live::program(COUNT);
    for command in ["fred-undo", "fred-reverse-step", "fred-reverse-next", "fred-undo 3"] {
        s.prints(command, "fred: no earlier point: this is the start of the history.");
    }
    s.say("next").stops_at("prog.py:2");
    s.say("fred-undo 7").stops_at("prog.py:1").shows("fred: no earlier point: this is the start of the history.");
    s.say("fred-redo").stops_at("prog.py:2");
    s.say("fred-redo").shows("fred: no later point");
    s.types("q").ends(0);
}

/// Who has put `breakpoint()` into a script is told how a history begins earlier.
#[test]
fn a_history_that_begins_late() {
    let start = Start::new().file("prog.py", "x = 1\nx = 2\nbreakpoint()\nx = 3\n");
    let mut s = start.python(&["prog.py"]).live();
    let hint = "`python -m pdb SCRIPT` and `pytest --trace` begin it with the program";
    s.say("fred-reverse-watch x == 1").shows("since the start of the history").shows(hint);
    s.say("fred-reverse-step").shows("this is the start of the history.").shows(hint);
    s.types("q").ends(1);
}

#[test]
fn reverse_moves() {
    let mut s = Live::program(CALLS);
    s.say("break 8").say("continue").stops_at("prog.py:8");
    s.say("fred-reverse-step").shows("--Return--").stops_at("prog.py:3");
    s.say("fred-reverse-finish").stops_at("prog.py:7");
    s.say("fred-reverse-next").stops_at("prog.py:6").prints("p 'b' in locals()", "False");
    s.say("rs").stops_at("prog.py:5").shows("--Call--");
    s.say("fred-undo 2").stops_at("prog.py:7");
    s.say("fred-reverse-continue").stops_at("prog.py:1").shows("no earlier stop at a breakpoint");
    s.say("continue").stops_at("prog.py:8");
    s.types("q").ends(0);
}

#[test]
fn assignments_are_undone() {
    let mut s = Live::program(COUNT);
    s.say("until 4").stops_at("prog.py:4").prints("p total", "0");
    s.say("!total = 50").prints("p total", "50").say("fred-undo").prints("p total", "0");
    s.say("fred-redo").prints("p total", "50");
    s.say("x = 7").say("fred-undo").say("p x").shows("NameError");
    s.say("b 5").say("c").shows("prog.py(5)").prints("p total", "56");
    s.say("fred-undo").stops_at("prog.py:4").say("b").shows("prog.py:5").say("fred-undo").say("b").is("");
    s.types("q").ends(0);
}

#[test]
fn breakpoints_conditions_and_counts() {
    let mut s = Live::program(COUNT);
    s.say("break 4, i == 2").say("tbreak 3").say("continue").shows("Deleted breakpoint 2").stops_at("prog.py:3");
    s.say("continue").stops_at("prog.py:4").prints("p i", "2");
    s.say("fred-undo").stops_at("prog.py:3").say("fred-undo").say("b").shows("prog.py:4").shows("prog.py:3");
    s.say("clear 2").say("condition 1").say("ignore 1 1").shows("Will ignore next 1 crossing");
    s.say("continue").stops_at("prog.py:4").prints("p i", "1");
    s.say("fred-undo").say("condition 1 i == 3").say("ignore 1 0").say("c").stops_at("prog.py:4").prints("p i", "3");
    s.say("rc").stops_at("prog.py:1");
    s.types("q").ends(0);
}

#[test]
fn until_return_jump() {
    let mut s = Live::program(CALLS);
    s.say("tbreak double").say("c").stops_at("prog.py:2");
    s.say("return").shows("--Return--").stops_at("prog.py:3").shows("->2");
    s.say("fred-undo").stops_at("prog.py:2").say("fred-redo").stops_at("prog.py:3");
    s.say("n").stops_at("prog.py:7").say("until 8").stops_at("prog.py:8");
    s.say("jump 6").stops_at("prog.py:6").say("n").stops_at("prog.py:7");
    s.say("fred-undo 2").stops_at("prog.py:8").prints("p a, b", "(2, 4)");
    s.types("q").ends(0);
}

#[test]
fn commands_display_and_aliases() {
    let mut s = Live::program(COUNT);
    s.say("break 4").say("commands 1").say("p ('at', i)").say("end");
    s.say("display total").say("continue").shows("('at', 0)").stops_at("prog.py:4");
    s.say("fred-undo").say("fred-redo").stops_at("prog.py:4");
    s.say("c").shows("('at', 1)").shows("display total: 1");
    s.say("fred-reverse-step").stops_at("prog.py:3");
    s.say("fred-undo").stops_at("prog.py:4").prints("p i", "1");
    s.say("alias twice n ;; n").say("twice").say("fred-undo").prints("p i", "1");
    s.say("alias rs p 'mine'").prints("rs", "'mine'");
    s.say("fred-undo").say("rs").stops_at("prog.py:3");
    s.say("!last = 'variable'").prints("last", "'variable'").say("!rs = 9").prints("rs", "9");
    s.types("q").ends(0);
}

#[test]
fn pdbrc_is_read() {
    let mut s = Start::new()
        .file("prog.py", COUNT)
        .file(".pdbrc", "alias hello p 'from the file'\nbreak 5\n")
        .python(&["-m", "pdb", "prog.py"])
        .live();
    s.prints("hello", "'from the file'").say("c").stops_at("prog.py:5");
    s.say("rs").stops_at("prog.py:2");
    s.say("fred-undo 9").stops_at("prog.py:1").prints("hello", "'from the file'");
    s.types("q").ends(0);
}

#[test]
fn interact_and_out_of_it() {
    let mut s = Live::program(COUNT);
    s.say("until 4").say("interact").say("made = 41").say("for k in range(2):").say("    made += k").say("");
    s.prints("made", "42").prints("total", "0");
    s.say("fred-undo").say("fred-undo 4").prints("made", "41");
    s.ctrl_d().prompt().prints("p total", "0");
    s.say("fred-undo 4").stops_at("prog.py:4").prints("p total", "0");
    s.types("q").ends(0);
}

#[test]
fn checkpoints_and_branches() {
    let mut s = Live::program(COUNT);
    s.say("next").say("fred-checkpoint before the loop").is("fred: checkpoint 1: before the loop");
    s.say("next").say("next").stops_at("prog.py:4");
    s.say("fred-restart").stops_at("prog.py:2").say("next");
    s.say("fred-branch other").shows("other").say("!total = 9").say("fred-goto 1").stops_at("prog.py:2");
    s.say("fred-goto @1").stops_at("prog.py:2").say("fred-redo 9").prints("p total", "9");
    s.say("fred-undo 2").say("!new = 1").say("fred-switch other").stops_at("prog.py:3");
    s.say("fred-redo 9").prints("p total", "9");
    s.say("fred-goto 99").shows("fred: there is no number 99");
    s.say("fred-goto 0%").stops_at("prog.py:1");
    s.say("fred-list").shows("before the loop").say("fred-when").say("fred-history");
    s.say("fred-delete 1").say("fred-restart 1").shows("fred: there is no checkpoint 1");
    s.say("fred-delete a1").shows("cannot delete checkpoint a1");
    s.types("q").ends(0);
}

#[test]
fn the_end_of_the_program_and_restart() {
    let mut s = Live::program(COUNT);
    s.say("break 4")
        .say("c")
        .say("clear 1")
        .say("c")
        .shows("total 6")
        .shows("The program finished and will be restarted");
    s.stops_at("prog.py:1");
    s.say("fred-undo").stops_at("prog.py:4").prints("p total", "0");
    s.say("fred-redo").stops_at("prog.py:1");
    // pdb steps out of the program into the library that runs it.
    s.say("fred-reverse-step").stops_at("bdb.py:604").say("fred-reverse-step 3").prints("p total", "6");
    s.say("fred-undo 2").stops_at("prog.py:1").say("n").stops_at("prog.py:2");
    s.say("run").shows("Restarting").stops_at("prog.py:1").say("fred-undo").stops_at("prog.py:2");
    s.say("restart a b").stops_at("prog.py:1").prints("import sys; sys.argv[1:]", "['a', 'b']");
    s.say("fred-undo 2").stops_at("prog.py:2");
    s.types("q").ends(0);
}

#[test]
fn an_uncaught_exception() {
    let mut s = Live::program("def f(x):\n    return 1 / x\n\nfor i in (2, 1, 0):\n    f(i)\n");
    s.say("c").shows("ZeroDivisionError").shows("Entering post mortem debugging").stops_at("prog.py:2");
    s.prints("p x", "0").say("fred-undo").stops_at("prog.py:1");
    s.say("fred-redo").stops_at("prog.py:2").prints("p x", "0");
    s.say("fred-reverse-step 4").say("fred-undo").stops_at("prog.py:2").prints("p x", "0");
    s.say("q").shows("Post mortem debugger finished");
    s.types("q").ends(0);
}

#[test]
fn breakpoint_in_a_program() {
    let text = "x = 1\nbreakpoint()\nx = 2\nx = 3\nprint('end', x)\n";
    let mut s = Start::new().file("prog.py", text).python(&["prog.py"]).live();
    s.say("next").prints("p x", "2").say("next").prints("p x", "3").say("fred-undo").prints("p x", "2");
    s.say("rs").prints("p x", "1").say("c").shows("end 3").shows("has ended with status 0");
    s.ctrl_d().ends(0);
}

#[test]
fn a_module_and_the_pdb_script() {
    let mut s = Start::new().file("mod.py", COUNT).python(&["-m", "pdb", "-m", "mod"]).live();
    s.say("next").stops_at("mod.py:2").say("fred-undo").stops_at("mod.py:1");
    s.types("q").ends(0);
    let library = "import sysconfig; print(sysconfig.get_path('stdlib') + '/pdb.py')";
    let found = std::process::Command::new(&*crate::live::PYTHON).args(["-c", library]).output().expect("python");
    let text = std::fs::read_to_string(String::from_utf8_lossy(&found.stdout).trim()).expect("pdb.py");
    let script = format!("#!{}\n{text}", crate::live::PYTHON.display());
    let start = Start::new().file("prog.py", COUNT).executable("pdb", &script);
    let mut s = start.debugger(&["./pdb", "prog.py"]).live();
    s.say("next").stops_at("prog.py:2").say("rs").stops_at("prog.py:1");
    s.types("q").ends(0);
}

#[test]
fn every_python() {
    let home = std::env::var_os("HOME").expect("HOME");
    let versions = std::path::Path::new(&home).join(".pyenv/versions");
    let Ok(found) = std::fs::read_dir(&versions) else {
        eprintln!("skipped: there are no versions in {}", versions.display());
        return;
    };
    for version in found.flatten() {
        let python = version.path().join("bin/python3");
        if !python.exists() {
            continue;
        }
        eprintln!("{}", python.display());
        let start = Start::new().file("prog.py", CALLS);
        let mut s = start.debugger(&[python.to_str().expect("a path"), "-m", "pdb", "prog.py"]).live();
        s.say("break 8").say("continue").stops_at("prog.py:8").prints("p b", "4");
        s.say("fred-reverse-step").stops_at("prog.py:3").prints("p y", "4");
        s.say("fred-undo").stops_at("prog.py:8").say("fred-reverse-next").stops_at("prog.py:7");
        s.say("fred-redo").shows("fred: no later point");
        s.say("fred-undo").stops_at("prog.py:8").say("fred-redo").stops_at("prog.py:7");
        s.say("continue").stops_at("prog.py:8").say("fred-reverse-watch a == 2");
        s.shows("becomes True by executing prog.py:6 in main").say("next").stops_at("prog.py:7");
        s.types("quit").ends(0);
    }
}
