//! Who may import whom, read off the sources. ARCHITECTURE.md says why; here is what.
//!
//! Not a compiler: it looks at paths that begin with `crate::`, `fred_checkpointer::` or `fred_tui::`, comments left out,
//! and at `super::` where that climbs to the root.

use std::fs;
use std::path::{Path, PathBuf};

/// A layer, and the beginnings of the paths that it may name. Its own are understood. Every module of `src` is in the table.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("history", &[]),
    ("search", &["history"]),
    ("backends", &["history"]),
    (
        "engine",
        &[
            "backends::aide",
            "backends::dialect",
            "backends::symbols",
            "backends::dialects::of_command",
            "backends::dialects::to_execute",
            "backends::pty",
            "search",
            "history",
            CHECKPOINTER,
        ],
    ),
    // The user's side. What a stop and a prompt are is the vocabulary of all.
    ("args", USERS_SIDE),
    ("bisect", USERS_SIDE),
    ("commands", USERS_SIDE),
    ("completion", USERS_SIDE),
    ("console", USERS_SIDE),
    ("demo", USERS_SIDE),
    ("doctor", USERS_SIDE),
    ("events", USERS_SIDE),
    ("keyboard", USERS_SIDE),
    ("launch", USERS_SIDE),
    ("mock", USERS_SIDE),
    ("repl", USERS_SIDE),
    ("script", USERS_SIDE),
    ("signals", USERS_SIDE),
    ("status", USERS_SIDE),
    ("tables", USERS_SIDE),
    // The crate's root and the program: they name the modules, and use nothing of what is below the user's side.
    ("lib", &[]),
    ("main", &[]),
];

const CHECKPOINTER: &str = "fred_checkpointer";

#[rustfmt::skip]
const USERS_SIDE: &[&str] = &[
    "args", "bisect", "commands", "completion", "console", "demo", "doctor", "events", "keyboard", "launch", "mock", "repl",
    "script", "signals", "status", "tables",
    "engine", "history::entry", "backends::dialect", "fred_tui",
];

/// Where one file may name what its layer may not, and why. A row that nothing needs any more is an error.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("src/main.rs", "fred_checkpointer::supervisor", "the supervisor is this program, started again"),
    ("src/doctor.rs", "fred_checkpointer::doctor", "it tries what the checkpointer needs, before there is a session"),
    ("src/backends/pty.rs", "fred_checkpointer::raw", "TIOCSWINSZ needs unsafe code, which is in one place only"),
    // Debts: the engine talks to pdb's helper by name. Another debugger without a server of its own will need a trait here.
    ("src/engine/core.rs", PDB, "a debt"),
    ("src/engine/desk.rs", PDB, "a debt"),
    ("src/engine/line.rs", PDB, "a debt"),
    ("src/engine/others.rs", PDB, "a debt"),
    ("src/engine/probe.rs", PDB, "a debt"),
    ("src/engine/probe/hops.rs", PDB, "a debt"),
    ("src/engine/reverse.rs", PDB, "a debt"),
    ("src/engine/session.rs", PDB, "a debt"),
    ("src/engine/travel.rs", PDB, "a debt"),
];

const PDB: &str = "backends::dialects::pdb_agent";

/// Files outside `backends/dialects` in which a debugger's name is a text for people, or something that they type.
const MAY_NAME_DEBUGGERS: &[&str] = &["src/args.rs", "src/demo.rs", "src/doctor.rs"];

const DEBUGGERS: &[&str] = &["pdb", "ipdb", "gdb", "lldb"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder, as its path from the root of the repository and its text without comments.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((name, without_comments(&text)));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "{folder} has no sources");
    found
}

/// `//` inside a string literal cuts it short, which does no harm here.
fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// What comes before an inline module of tests.
fn without_tests(text: &str) -> &str {
    let at = text.match_indices("#[cfg(test)]").find(|(at, mark)| {
        let rest = text[at + mark.len()..].trim_start();
        rest.starts_with("mod ") && rest.find('{') < rest.find(';')
    });
    at.map_or(text, |(at, _)| &text[..at])
}

/// Modules from the root of the crate to the one in a file: `src/engine/live.rs` is `engine`, `live`.
fn module_of(file: &str) -> Vec<String> {
    let path = Path::new(file).strip_prefix("src").unwrap().with_extension("");
    let mut module: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The paths in a text that begin with a word, without it: `crate::a::{b, c::d}` gives `a::b` and `a::c::d`.
fn paths(text: &str, first: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(&format!("{first}::")) {
        if !text[..at].ends_with(|before| is_word(before) || before == ':') {
            spell_out(&text[at + first.len() + 2..], "", &mut found);
        }
    }
    found
}

/// Reads one path (or a group of them) at the beginning of a text; returns what follows.
fn spell_out<'a>(text: &'a str, before: &str, found: &mut Vec<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            let next = spell_out(rest, before, found).trim_start();
            let next = next.strip_prefix(',').unwrap_or(next);
            assert!(next.len() < rest.len(), "cannot read {rest:.40}");
            rest = next;
        }
    }
    let end = text.find(|letter| !is_word(letter) && letter != '*').unwrap_or(text.len());
    let path = format!("{before}{}", &text[..end]);
    let mut rest = &text[end..];
    match rest.strip_prefix("::") {
        // A turbofish ends a path for our purposes.
        Some(after) if !after.starts_with('<') => spell_out(after, &format!("{path}::"), found),
        _ => {
            if let Some(after) = rest.trim_start().strip_prefix("as ") {
                rest = after.trim_start().trim_start_matches(is_word);
            }
            found.push(path);
            rest
        }
    }
}

/// Whether a path is another or lies below it.
fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// All that a file names of other layers, other crates of ours included.
fn imports(file: &str, text: &str) -> Vec<String> {
    let mut named = paths(text, "crate");
    for other in [CHECKPOINTER, "fred_tui"] {
        named.extend(paths(text, other).into_iter().map(|path| format!("{other}::{path}")));
    }
    // `super` once for each module on the way ends at the root, and is then as good as `crate`.
    let climb = vec!["super"; module_of(file).len()].join("::");
    named.extend(paths(without_tests(text), &climb));
    named
}

#[test]
fn imports_go_one_way() {
    let mut wrong = Vec::new();
    let mut used = vec![false; EXCEPTIONS.len()];
    for (file, text) in sources("src") {
        let layer = module_of(&file)[0].clone();
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == layer) else {
            wrong.push(format!("{file}: the layer of `{layer}` is not in the table"));
            continue;
        };
        for path in imports(&file, &text) {
            if is_below(&path, &layer) || allowed.iter().any(|above| is_below(&path, above)) {
                continue;
            }
            // `use crate::backends::dialects;` says nothing yet: what is used of it does.
            let of_module = allowed.iter().any(|above| is_below(above, &path) && above.matches("::").count() > 0);
            if of_module
                && paths(&text, path.rsplit("::").next().unwrap_or(&path))
                    .iter()
                    .all(|rest| allowed.iter().any(|above| is_below(&format!("{path}::{rest}"), above)))
            {
                continue;
            }
            match EXCEPTIONS.iter().position(|(of, above, _)| *of == file && is_below(&path, above)) {
                Some(index) => used[index] = true,
                None => wrong.push(format!("{file} names {path}: `{layer}` may not")),
            }
        }
    }
    let idle = EXCEPTIONS.iter().zip(used).filter(|(_, used)| !used);
    wrong.extend(
        idle.map(|((file, path, _), _)| format!("{file} does not name {path} any more: take the exception out")),
    );
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn checkpointer_and_view_know_nothing_of_fred() {
    for folder in ["checkpointer", "tui"] {
        for (file, text) in sources(&format!("{folder}/src")) {
            assert!(paths(&text, "fred").is_empty(), "{file} names fred");
            let own = format!("fred_{folder}");
            for other in ["fred_checkpointer", "fred_tui"].iter().filter(|other| !own.starts_with(**other)) {
                // The checkpointer's own program uses the checkpointer's own library.
                let inside = folder == "checkpointer" && *other == CHECKPOINTER;
                assert!(inside || paths(&text, other).is_empty(), "{file} names {other}");
            }
        }
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split_once("dependencies]").map_or("", |(_, rest)| rest);
        assert!(!dependencies.lines().any(|line| line.starts_with("fred")), "{folder}/Cargo.toml depends on fred");
    }
}

/// Ask for an ability, not a name.
#[test]
fn no_debugger_is_asked_for_by_name() {
    for (file, text) in sources("src") {
        let is_test = file.ends_with("/tests.rs") || file == "src/mock.rs";
        if is_test || file.starts_with("src/backends/dialects/") || MAY_NAME_DEBUGGERS.contains(&file.as_str()) {
            continue;
        }
        for name in DEBUGGERS {
            let literal = format!("\"{name}\"");
            assert!(!without_tests(&text).contains(&literal), "{file} has the literal {literal}");
        }
    }
}

#[test]
fn only_the_program_has_errors_without_a_type() {
    for (file, text) in ["src", "checkpointer/src", "tui/src"].into_iter().flat_map(sources) {
        assert!(file == "src/main.rs" || paths(&text, "anyhow").is_empty(), "{file} uses anyhow");
    }
}

#[test]
fn paths_are_read() {
    let text = "use crate::a::{b, c::{D, self as e}, f as g};\n let x = crate::h::i::<u8>(); not_crate::j; $crate::k";
    assert_eq!(paths(text, "crate"), ["a::b", "a::c::D", "a::c::self", "a::f", "h::i", "k"]);
    assert_eq!(paths("use super::super::engine::X;", "super::super"), ["engine::X"]);
    assert_eq!(module_of("src/backends/dialects/pdb.rs"), ["backends", "dialects", "pdb"]);
    assert_eq!(module_of("src/engine/mod.rs"), ["engine"]);
    assert!(
        is_below("backends::dialect::Prompt", "backends::dialect")
            && !is_below("backends::dialects", "backends::dialect")
    );
}
