use super::*;

fn effect(line: &str) -> Effect {
    Pdb::new().read_line(line, PromptKind::Command).effect
}

fn stop(sent: &str, output: &str) -> Option<(String, Option<u32>, String, Reason)> {
    let stop = Pdb::new().parse_stop(sent, output)?;
    Some((stop.file?, stop.line, stop.function?, stop.reason))
}

#[test]
fn prompts() {
    let pdb = Pdb::new();
    let at = |output: &str| pdb.prompt_at_end(output).map(|p| (p.start, p.text, p.kind));
    let text = |s: &str| s.to_owned();
    assert_eq!(at("x\n(Pdb) "), Some((2, text("(Pdb) "), PromptKind::Command)));
    assert_eq!(at("x\r\n\x1b[?2004h(Pdb) "), Some((11, text("(Pdb) "), PromptKind::Command)));
    assert_eq!(at("abc(Pdb) "), Some((3, text("(Pdb) "), PromptKind::Command)));
    assert_eq!(at("x\n(((Pdb))) "), Some((2, text("(((Pdb))) "), PromptKind::Command)));
    assert_eq!(at("ipdb> "), Some((0, text("ipdb> "), PromptKind::Command)));
    assert_eq!(at("(com) "), Some((0, text("(com) "), PromptKind::Continuation)));
    assert_eq!(at("\x1b[?2004h>>> "), Some((8, text(">>> "), PromptKind::Interpreter)));
    assert_eq!(at("...   "), Some((0, text("...   "), PromptKind::Continuation)));
    assert_eq!(at("Loading... "), None);
    assert_eq!(at("(Pdb) x"), None);
    assert_eq!(at("(Pdb)"), None);
    assert_eq!(at("é>>> "), None);
}

#[test]
fn effects() {
    use Effect::*;
    for (line, wanted) in [
        ("n", Moves),
        ("step", Moves),
        ("c", Moves),
        ("unt 30", Moves),
        ("j 3", Moves),
        ("debug f()", Moves),
        ("b 3", Configures),
        ("b", Queries),
        ("tbreak f", Configures),
        ("commands 1", Configures),
        ("alias", Queries),
        ("alias x", Queries),
        ("alias x p 1;;n", Configures),
        ("display x", Configures),
        ("p x", Queries),
        ("w", Queries),
        ("up", Queries),
        ("ll", Queries),
        ("?", Queries),
        ("?n", Queries),
        ("!n", Mutates),
        ("! x = 1", Mutates),
        ("x = 1", Mutates),
        ("frobnicate()", Mutates),
        ("p.x = 1", Mutates),
        ("p 1;;n", Moves),
        ("p ';;' ;; b 3", Mutates),
        ("q", Moves),
        ("", Queries),
        ("interact", Mutates),
        ("a = 3", Queries),
        ("exit", Moves),
    ] {
        assert_eq!(effect(line), wanted, "{line}");
    }
    assert!(Pdb::new().read_line("p 1;;q", PromptKind::Command).quits);
    assert!(!Pdb::new().read_line("!q", PromptKind::Command).quits);
}

#[test]
fn which_prompts_are_believed() {
    let pdb = Pdb::new();
    let belief = |sent: &str, output: &str, kind| {
        pdb.belief(sent, output, &Prompt { start: output.len(), text: "(Pdb) ".to_owned(), kind })
    };
    let shown = |text: &str| Belief::IfSource { file: "/a.py".to_owned(), line: 3, text: text.to_owned() };
    let command = PromptKind::Command;
    assert_eq!(belief("c", "> /a.py(3)f()\n-> x = 1\n", command), shown("x = 1"));
    assert_eq!(belief("c", "> /a.py(3)f()\n-> x = 1\ndisplay x: 3\n", command), shown("x = 1"));
    assert_eq!(belief("", "> /a.py(3)f()\n-> \n", command), shown(""));
    assert_eq!(belief("n", "> /a.py(3)f()\n-> x = 1\nmore", command), Belief::Doubtful);
    assert_eq!(belief("c", "", command), Belief::Doubtful);
    assert_eq!(belief("n", "", PromptKind::Interpreter), Belief::Never);
    assert_eq!(belief("n ;; interact", "", PromptKind::Interpreter), Belief::Sure);
    assert_eq!(belief("ask()", "", command), Belief::Doubtful);
    assert_eq!(belief("x = 1", "", command), Belief::Sure);
    assert_eq!(belief("commands 1", "", PromptKind::Continuation), Belief::Sure);
    assert_eq!(belief("p x", "1\n", command), Belief::Sure);
}

#[test]
fn aliases_are_followed() {
    let mut pdb = Pdb::new();
    pdb.read_line("alias go next ;; p %1", PromptKind::Command);
    assert!(pdb.is_command("go"));
    assert_eq!(pdb.read_line("go x", PromptKind::Command).effect, Effect::Moves);
    assert_eq!(pdb.read_line("", PromptKind::Command).send, "p x");
    pdb.read_line("alias loop loop", PromptKind::Command);
    assert_eq!(pdb.read_line("loop", PromptKind::Command).effect, Effect::Mutates);
    pdb.read_line("unalias go", PromptKind::Command);
    assert_eq!(pdb.read_line("go x", PromptKind::Command).effect, Effect::Mutates);
}

#[test]
fn enter_repeats() {
    let mut pdb = Pdb::new();
    assert_eq!(pdb.read_line("", PromptKind::Command).send, "");
    pdb.read_line("n", PromptKind::Command);
    pdb.read_line("!x = 1", PromptKind::Command);
    let again = pdb.read_line(" ", PromptKind::Command);
    assert_eq!((again.send.as_str(), again.effect), ("n", Effect::Moves));
    pdb.read_line("l 3", PromptKind::Command);
    assert_eq!(pdb.read_line("", PromptKind::Command).send, "list");
    assert_eq!(pdb.fork().read_line("", PromptKind::Command).send, "list");
}

#[test]
fn continuation_lines() {
    let mut pdb = Pdb::new();
    pdb.read_line("commands 1", PromptKind::Command);
    assert_eq!(pdb.read_line("continue", PromptKind::Continuation).effect, Effect::Configures);
    pdb.read_line("for i in x:", PromptKind::Command);
    assert_eq!(pdb.read_line("  y(i)", PromptKind::Continuation).effect, Effect::Mutates);
    assert_eq!(pdb.read_line("n", PromptKind::Interpreter).effect, Effect::Mutates);
}

#[test]
fn stops() {
    let at =
        |file: &str, line, function: &str, reason| Some((file.to_owned(), Some(line), function.to_owned(), reason));
    assert_eq!(stop("n", "> /a/b.py(3)f()\r\n-> x = 1\r\n"), at("/a/b.py", 3, "f", Reason::Step));
    assert_eq!(stop("c", "hello\n> /a/b.py(3)f()\n-> x\n"), at("/a/b.py", 3, "f", Reason::Breakpoint));
    assert_eq!(stop("n", "abc> /a b/é.py(3)<module>()\n-> x\n"), at("/a b/é.py", 3, "<module>", Reason::Step));
    assert_eq!(stop("r", "--Return--\n> /a.py(3)f()->'> /x(1)g()'\n-> x\n"), at("/a.py", 3, "f", Reason::Step));
    assert_eq!(stop("s", "ValueError: 3\n> /a.py(3)f()\n-> x\n"), at("/a.py", 3, "f", Reason::Exception));
    assert_eq!(stop("s", "Total: 3\n> /a.py(3)f()\n-> x\n"), at("/a.py", 3, "f", Reason::Step));
    assert_eq!(
        stop("c", "\nProgram interrupted. (Use 'cont' to resume).\n--Call--\n> /a.py(3)f()\n-> x\n"),
        at("/a.py", 3, "f", Reason::Interrupt)
    );
    assert_eq!(
        stop("c", "The program finished and will be restarted\n> /a.py(1)<module>()\n-> x\n"),
        at("/a.py", 1, "<module>", Reason::Entry)
    );
    assert_eq!(
        stop(
            "c",
            "E\nUncaught exception. Entering post mortem debugging\n\
            Running 'cont' or 'step' will restart the program\n> /a.py(1)f()\n-> x\n"
        ),
        at("/a.py", 1, "f", Reason::Exception)
    );
    assert_eq!(stop("s", "--Return--\n> <string>(1)<module>()->None\n"), at("<string>", 1, "<module>", Reason::Step));
    assert_eq!(
        stop("n", "> /fake.py(9)f()\n> /a.py(3)f()\n-> x\ndisplay s: > /fake.py(1)g()\n"),
        at("/a.py", 3, "f", Reason::Step)
    );
    assert_eq!(stop("n", "no stop here\n"), None);
    let long = "é> /x".repeat(1 << 20);
    assert_eq!(stop("n", &format!("{long}> /a.py(3)f()\n-> x\n")).map(|s| s.0), Some("/a.py".to_owned()));
}
