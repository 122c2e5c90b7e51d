//! Programs that end in every way, processes that are killed, terminals that go away: the session survives what it can,
//! and nothing is ever left running.

use nix::sys::signal::{Signal, kill};

use crate::live::{Live, Start};

/// The program ends the debugger with `status` when `line` runs; undo brings it back.
fn dies(statement: &str, status: i32) {
    let text = format!("import os, sys, ctypes, signal, faulthandler\nx = 1\n{statement}\nafter = 2\n");
    let mut s = Live::program(&text);
    s.say("next").say("next").stops_at("prog.py:3");
    s.say("next").shows(&format!("fred: the debugger has ended with status {status}; fred-undo"));
    s.say("next").shows("fred: the debugger has ended");
    s.say("fred-undo").stops_at("prog.py:3").prints("p x", "1");
    s.say("fred-redo").shows(&format!("fred: the debugger has ended with status {status}; fred-undo"));
    s.say("fred-undo 2").stops_at("prog.py:2").say("continue").shows("fred: the debugger has ended");
    s.say("fred-reverse-watch 'x' in globals()").shows("cannot evaluate");
    s.say("fred-reverse-step").say("fred-undo 2").stops_at("prog.py:2");
    s.say("continue").ctrl_d().ends(status);
}

#[test]
fn os_exit() {
    dies("os._exit(3)", 3);
}

#[test]
fn killed_by_itself() {
    dies("os.kill(os.getpid(), signal.SIGKILL)", 137);
}

#[test]
fn segmentation_fault() {
    dies("ctypes.string_at(0)", 139);
}

#[test]
fn segmentation_fault_with_faulthandler() {
    dies("faulthandler.enable(); ctypes.string_at(0)", 139);
}

#[test]
fn abort() {
    dies("os.abort()", 134);
}

#[test]
fn terminates_its_group() {
    dies("os.killpg(0, signal.SIGTERM)", 143);
}

#[test]
fn kills_its_group() {
    dies("os.killpg(0, signal.SIGKILL)", 137);
}

#[test]
fn kills_its_group_by_number() {
    dies("os.killpg(os.getpgrp(), signal.SIGKILL)", 137);
}

#[test]
fn sys_exit() {
    let mut s = Live::program("import sys\nx = 1\nsys.exit(3)\n");
    s.say("continue").shows("The program exited via sys.exit(). Exit status: 3").stops_at("prog.py:1");
    s.say("fred-undo").say("next").say("next").stops_at("prog.py:3").prints("p x", "1");
    s.types("q").ends(0);
}

#[test]
fn short_lived_children() {
    let text = "import subprocess\nout = subprocess.run(['echo', 'hi'], stdout=subprocess.PIPE).stdout\nx = 1\ny = 2\n";
    let mut s = Live::program(text);
    s.say("next").say("next").stops_at("prog.py:3").prints("p out", "b'hi\\n'");
    s.say("next").say("fred-reverse-next 2").stops_at("prog.py:2").say("next").prints("p out", "b'hi\\n'");
    s.say("fred-undo 2").stops_at("prog.py:4");
    s.types("q").ends(0);
}

#[test]
fn a_child_that_stays_alive() {
    let text = "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\nx = 1\ny = 2\nchild.kill()\nchild.wait()\nz = 3\n";
    let mut s = Live::program(text);
    s.say("next").say("next").stops_at("prog.py:3");
    s.say("fred-checkpoint")
        .shows("fred: cannot take a checkpoint while other processes of the program are alive: sleep (");
    s.say("next").stops_at("prog.py:4").prints("p x", "1");
    s.say("fred-undo").shows("fred: ").shows("sleep (").prints("p x", "1");
    s.say("fred-reverse-step").shows("sleep (").prints("p x", "1");
    s.say("next").say("next").say("next").stops_at("prog.py:7");
    s.say("fred-checkpoint").shows("fred: checkpoint 1").say("fred-reverse-next").stops_at("prog.py:6");
    s.types("q").wait();
}

#[test]
fn children_end_with_the_session() {
    let text = "\
import os, subprocess
child = subprocess.Popen(['sleep', '1000'])
apart = subprocess.Popen(['sleep', '1000'], start_new_session=True)
end = 1
";
    let mut s = Live::program(text);
    s.say("tbreak 4").say("c").stops_at("prog.py:4");
    s.types("q").wait();
    let mut s = Live::program(text);
    s.say("tbreak 4").say("c").stops_at("prog.py:4");
    kill(s.fred(), Signal::SIGKILL).expect("a kill");
    assert_eq!(s.wait(), 137);
}

#[test]
fn ctrl_c_reaches_a_child() {
    let text = "import subprocess\nprint('on', flush=True)\nsubprocess.run(['cat', '/dev/zero'], stdout=subprocess.DEVNULL)\nx = 1\n";
    let mut s = Live::program(text);
    s.types("continue").until("on\n").ctrl_c().prompt().shows("Program interrupted");
    s.types("q").wait();
}

#[test]
fn fred_is_killed() {
    let mut s = Live::pdb("autocount.py");
    s.say("next").say("fred-checkpoint");
    kill(s.fred(), Signal::SIGKILL).expect("a kill");
    assert_eq!(s.wait(), 137);
}

#[test]
fn fred_is_terminated() {
    let mut s = Live::pdb("autocount.py");
    s.say("next").say("fred-checkpoint");
    kill(s.fred(), Signal::SIGTERM).expect("a signal");
    assert_eq!(s.wait(), 143);
}

#[test]
fn the_supervisor_is_killed() {
    let mut s = Live::pdb("autocount.py");
    s.say("next").say("fred-checkpoint");
    let supervisor = s.process("fred-supervisor");
    s.kill(supervisor, None).types("next").until("the supervisor of this session has ended");
    assert!(s.wait() > 128);
}

#[test]
fn the_holder_is_killed() {
    let mut s = Live::pdb("autocount.py");
    s.say("next").say("fred-checkpoint");
    let (holder, supervisor) = (s.process("fred-holder"), s.process("fred-supervisor"));
    s.kill(holder, Some(supervisor)).types("next").until("the supervisor of this session has ended");
    assert!(s.wait() > 128);
}

#[test]
fn the_terminal_hangs_up() {
    let mut s = Live::pdb("autocount.py");
    s.say("next").say("fred-checkpoint").hang_up();
    s.wait();
    let mut s = Live::program("print('on', flush=True)\nwhile True:\n    pass\n");
    s.types("continue").until("on\n").hang_up();
    s.wait();
}

#[test]
fn the_debugger_is_killed_from_outside() {
    let mut s = Live::pdb("autocount.py");
    s.say("next").say("next");
    let debugger = s.running();
    kill(debugger, Signal::SIGKILL).expect("a kill");
    s.say("next").shows("fred: the debugger has ended with status 137").say("fred-undo").stops_at("autocount.py:8");
    s.types("q").ends(0);
}

#[test]
fn the_checkpoints_are_killed_from_outside() {
    let mut s = Live::pdb("autocount.py");
    s.say("next").say("fred-checkpoint").say("next").stops_at("autocount.py:8");
    let running = s.running();
    for (pid, name) in s.processes() {
        if name.starts_with("python") && pid != running {
            kill(pid, Signal::SIGKILL).expect("a kill");
        }
    }
    s.say("fred-undo").shows("fred: cannot restore this checkpoint: its process was killed from outside");
    s.say("next")
        .stops_at("autocount.py:16")
        .say("fred-checkpoint")
        .say("next")
        .say("fred-restart")
        .stops_at("autocount.py:16");
    s.types("q").ends(0);
}

#[test]
fn ctrl_c_ends_a_program_that_does_not_catch_it() {
    let text = "\
import signal
breakpoint()
signal.signal(signal.SIGINT, signal.SIG_DFL)
print('on', flush=True)
while True:
    pass
";
    let mut s = Start::new().file("prog.py", text).python(&["prog.py"]).live();
    s.types("continue").until("on\n").ctrl_c().prompt().shows("fred: the debugger has ended with status 130");
    s.say("fred-undo").stops_at("prog.py:3").say("next").stops_at("prog.py:4");
    s.types("q").ends(1);
}

#[test]
fn threads() {
    let text = "\
import threading
go = threading.Event()
seen = []
def work():
    go.wait()
    seen.append(1)
t = threading.Thread(target=work)
t.start()
x = 1
go.set()
t.join()
x = 2
end = 1
";
    let mut s = Live::program(text);
    s.say("tbreak 9").say("c").stops_at("prog.py:9").say("next").say("next").say("next").prints("p seen", "[1]");
    s.say("fred-undo 3").stops_at("prog.py:9").prints("p seen, t.is_alive()", "([], True)");
    s.say("tbreak 13").say("c").prints("p seen", "[1]");
    s.types("q").ends(0);
}
