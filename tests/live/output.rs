//! What programs print: much, unfinished, misleading; and what comes out of fred without a terminal.

use crate::live::{Live, Start};

#[test]
fn five_megabytes() {
    let mut s = Live::program("for i in range(50000):\n    print('x' * 99)\nprint('last')\nend = 1\n");
    s.say("tbreak 4").say("continue").shows("last\n").stops_at("prog.py:4");
    assert!(s.output.len() > 5_000_000, "{}", s.output.len());
    s.say("fred-undo").stops_at("prog.py:1").say("fred-redo").stops_at("prog.py:4");
    s.say("fred-reverse-next").stops_at("prog.py:3");
    s.types("q").ends(0);
}

#[test]
fn no_newline_before_the_prompt() {
    let mut s = Live::program("import sys\nsys.stdout.write('abc'); sys.stdout.flush()\nx = 1\ny = 2\n");
    s.say("next").say("next").shows("abc").stops_at("prog.py:3");
    s.say("fred-undo").stops_at("prog.py:2").say("fred-redo").stops_at("prog.py:3").hides("abc");
    s.say("!sys.stdout.write('no end')").shows("no end");
    s.prints("p x if 'x' in globals() else 0", "0");
    s.types("q").ends(0);
}

#[test]
fn a_false_header() {
    let text = "\
print('> /tmp/else.py(99)nowhere()')
print('-> x = 1')
print('> /tmp/else.py(98)nowhere()\\n-> x = 2\\n(Pdb) ', end='', flush=True)
x = input()
print('> /tmp/else.py(97)nowhere()')
end = 1
";
    let mut s = Live::program(text);
    s.say("next").stops_at("prog.py:2").say("next").stops_at("prog.py:3").say("fred-undo").stops_at("prog.py:2");
    s.say("tbreak 6").types("c").until("(98)nowhere()\n-> x = 2\n(Pdb) ").types("answer").prompt();
    s.stops_at("prog.py:6").prints("p x", "'answer'");
    s.say("fred-reverse-step").stops_at("prog.py:5").say("fred-reverse-step").stops_at("prog.py:4");
    s.types("q").ends(0);
}

#[test]
fn a_silent_program() {
    let mut s = Live::program("import select\nselect.select([], [], [], 3)\nx = 1\ny = 2\n");
    s.say("next").say("next").stops_at("prog.py:3").say("fred-undo").stops_at("prog.py:2");
    s.types("q").ends(0);
}

#[test]
fn commands_from_a_pipe() {
    let done =
        Start::new().file("x.py", "a = 1\nb = 2\n").python(&["-m", "pdb", "x.py"]).piped("next\nfred-undo\nrs\nq\n");
    assert_eq!(done.status, Some(0), "{done:?}");
    assert!(done.stdout.contains("x.py(2)<module>()"), "{done:?}");
    assert!(done.stdout.contains("fred: no earlier point: this is the start of the history."), "{done:?}");
}

fn batch(options: &[&str]) -> (Option<i32>, String) {
    let done = Start::new()
        .file("x.py", "a = 1\nb = 2\nc = 3\n")
        .file("script", "next\nfred-undo\n")
        .file("wrong", "fred-undo\nnext\n")
        .options(&["--batch"])
        .options(options)
        .python(&["-m", "pdb", "x.py"])
        .piped("");
    (done.status, done.stdout)
}

#[test]
fn batch_statuses() {
    assert_eq!(batch(&["-e", "next", "-e", "fred-undo"]).0, Some(0));
    assert_eq!(batch(&["-e", "fred-undo", "-e", "next"]).0, Some(1));
    let (status, text) = batch(&["-e", "fred-undo", "-e", "next"]);
    assert!(status == Some(1) && text.contains("x.py(2)"), "{text}");
    let (status, text) = batch(&["--stop-on-error", "-e", "fred-undo", "-e", "next"]);
    assert!(status == Some(1) && !text.contains("x.py(2)"), "{text}");
    let (status, text) = batch(&["-e", "next", "-x", "script", "-e", "p 'last'", "-e", "b 3"]);
    assert!(status == Some(0) && text.contains("'last'\n"), "{text}");
    assert_eq!(batch(&["-x", "wrong"]).0, Some(1));
    assert_eq!(batch(&["-x", "absent"]).0, Some(2));
    assert_eq!(batch(&["-e", "q"]).0, Some(0));
    let done = Start::new().options(&["--batch", "-e", "n"]).debugger(&["pdb-of-nowhere", "x.py"]).piped("");
    assert_eq!(done.status, Some(3), "{done:?}");
    let done = Start::new().options(&["--batch", "-e", "n"]).python(&["-c", "print('no prompt')"]).piped("");
    assert_eq!(done.status, Some(3), "{done:?}");
}

#[test]
fn commands_first_and_then_a_prompt() {
    let mut s = Start::new()
        .file("x.py", "a = 1\nb = 2\nc = 3\n")
        .file("script", "next\np 'from the script'\n")
        .options(&["-e", "p 'first'", "-x", "script"])
        .python(&["-m", "pdb", "x.py"])
        .live();
    s.shows("'first'\n").shows("'from the script'\n").stops_at("x.py:2");
    s.say("fred-source script").stops_at("x.py:3").shows("'from the script'").say("fred-undo").stops_at("x.py:2");
    s.say("fred-source absent").shows("fred: cannot read the commands in absent").hides("x.py(");
    s.types("q").ends(0);
}

#[test]
fn the_event_stream() {
    let done = Start::new()
        .file("x.py", "a = 1\nprint('words')\nb = 2\n")
        .options(&[
            "--batch",
            "--json",
            "-",
            "-e",
            "next",
            "-e",
            "next",
            "-e",
            "fred-reverse-watch a",
            "-e",
            "fred-undo 9",
        ])
        .python(&["-m", "pdb", "x.py"])
        .piped("");
    assert_eq!(done.status, Some(1), "{done:?}");
    let events: Vec<serde_json::Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect();
    let kinds: Vec<&str> = events.iter().filter_map(|e| e["event"].as_str()).filter(|e| *e != "checkpoint").collect();
    assert_eq!(kinds, ["session", "command", "command", "fred", "fred", "end"], "{events:#?}");
    assert_eq!(events[0]["schema"], "fred/1");
    let commands: Vec<_> = events.iter().filter(|e| e["event"] == "command").collect();
    assert_eq!(commands[1]["stop"]["line"], 3);
    assert_eq!(commands[1]["stop"]["depth"], 1);
    assert!(commands[1]["output"].as_str().expect("text").starts_with("words\n"));
    let watch = events.iter().find(|e| e["command"] == "reverse-watch").expect("the watch");
    assert_eq!(watch["result"]["changed_by"]["line"], 1, "{watch:#?}");
    assert_eq!(events.last().expect("an end")["status"], 1);
}
