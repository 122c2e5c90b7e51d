//! Rust programs of others, from crates, with a bug put into them: followed back from the panic below gdb and lldb.

mod native;

use std::process::Command;

use native::{Sample, is_done, lldbs, package, place, put_in, said};
use serde_json::Value;

/// Two texts, a word a line. What is to be inserted into the one can also be inserted further up, which is where the crate moves it.
const OLD: &str = "; y x x x } z z ; z x { { } y z y x ; x z z z y } ; { } } } z ; ; z } x ; { z z { x y { ; y z ; } z y ; x { y x ; { z x";
const NEW: &str = "; y x ; y x x x } z z ; z x { { } y z y x ; x z z z y } ; { } } } z ; ; z } x ; { z z { x y { ; y z ; } z y ; x { y x ; { x ; { x ; { z x";

/// The example `udiff` of the crate `similar`, which compares two files, and the line of a mistake in the crate.
///
/// An equal stretch that grows to the left then stays where it began. That a line is printed which is not there comes much later: the stretches
/// are moved, merged, copied into a vector, grouped and printed by then.
fn broken_udiff() -> (Sample, u64) {
    let sources = package("similar").expect("insta, on which the tests depend, depends on it");
    let directory = tempfile::tempdir().expect("a directory");
    let mut copy = Command::new("cp");
    copy.arg("-r").args([sources.join("src"), sources.join("examples")]).arg(directory.path());
    assert!(copy.status().expect("cp runs").success());
    let wrong = "self.adjust((0, true), (adjust, false));";
    let culprit =
        put_in(&directory.path().join("src/types.rs"), "self.adjust((adjust, true), (adjust, false));", wrong);
    // Without a further crate it compares text only.
    put_in(&directory.path().join("examples/udiff.rs"), "use std::fs::read;", "use std::fs::read_to_string as read;");
    for (name, words) in [("old", OLD), ("new", NEW)] {
        std::fs::write(directory.path().join(name), words.replace(' ', "\n") + "\n").expect("a file");
    }
    let library = "rustc --cap-lints allow --edition 2018 -g --crate-type rlib --crate-name similar --cfg 'feature=\"text\"' src/lib.rs";
    let program = "rustc --edition 2018 -g --extern similar=libsimilar.rlib -o program examples/udiff.rs";
    let made =
        Command::new("sh").args(["-ec", &format!("{library}\n{program}")]).current_dir(directory.path()).output();
    let made = made.expect("a shell");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (Sample::at(directory), culprit)
}

/// The line of a file where a text stands for the n-th time.
fn line_of(sample: &Sample, file: &str, text: &str, n: usize) -> u64 {
    let source = std::fs::read_to_string(sample.path().join(file)).expect("a source");
    let mut found = source.lines().enumerate().filter(|(_, line)| line.contains(text));
    found.nth(n - 1).unwrap_or_else(|| panic!("{file} is another one")).0 as u64 + 1
}

fn ends_with(event: &Value, name: &str) -> bool {
    place(event).1.is_some_and(|function| function.ends_with(name))
}

#[test]
fn a_panic_of_a_rust_tool_is_followed_back_below_gdb() {
    let (sample, culprit) = broken_udiff();
    let applied = line_of(&sample, "src/algorithms/compact.rs", "op.apply_to_hook(", 1);
    let grown = line_of(&sample, "src/algorithms/compact.rs", ".grow_left(", 1);
    let events = sample.fred(
        &["gdb", "-q", "-nx"],
        &[
            "set debug-file-directory /none",
            "set args old new",
            "break rust_panic",
            "run",
            &format!("break compact.rs:{applied}"),
            // The last one is the fourth.
            "fred-reverse-continue",
            "print *op",
            "fred-reverse-continue 3",
            "print *op",
            // It begins where the one before it has not ended yet. Its place in the vector was that of the next one.
            "set $op = op",
            "fred-reverse-watch *$op",
            "set $op = $op + 1",
            "fred-reverse-watch *$op",
            "backtrace",
            "fred-reverse-finish",
            "fred-reverse-finish",
            "fred-reverse-finish",
            "print ops.len",
        ],
    );
    assert!(events.iter().all(is_done), "{events:#?}");
    assert!(place(&events[2]).1.is_some_and(|function| function.ends_with("rust_panic")), "{}", events[2]);
    assert!(said(&events[5]).contains("Equal{old_index: 58, new_index: 67, len: 2}"), "{}", events[5]);
    assert!(said(&events[7]).contains("Equal{old_index: 3, new_index: 6, len: 5}"), "{}", events[7]);
    let after =
        |event: &Value, length: &str| event["result"]["after"].as_str().is_some_and(|text| text.contains(length));
    assert!(after(&events[9], "len: 5") && after(&events[11], "len: 5"), "{events:#?}");
    assert!(events[11]["result"]["before"].as_str().is_some_and(|text| text.contains("len: 2")), "{}", events[11]);
    assert!(ends_with(&events[11], "modify"), "{}", events[11]);
    assert!(said(&events[12]).contains(&format!("compact.rs:{grown}")), "{}", events[12]);
    assert!(place(&events[14]).0 == Some(culprit) && ends_with(&events[14], "grow_left"), "{}", events[14]);
    assert_eq!(place(&events[15]).0, Some(grown), "{}", events[15]);
    assert!(said(&events[16]).contains("= 7"), "{}", events[16]);
}

#[test]
fn a_panic_of_a_rust_tool_is_followed_back_below_lldb() {
    let (sample, culprit) = broken_udiff();
    let applied = line_of(&sample, "src/algorithms/compact.rs", "op.apply_to_hook(", 1);
    let grown = line_of(&sample, "src/algorithms/compact.rs", ".grow_left(", 1);
    for lldb in lldbs() {
        // It does not know what is in an enumeration of Rust's: the words of it are added up.
        let sum = |from: u32| (from..from + 5).map(|word| format!("$op[{word}]")).collect::<Vec<_>>().join("+");
        let events = sample.fred(
            &[&lldb, "-x"],
            &[
                "settings set symbols.enable-external-lookup false",
                "settings set target.run-args old new",
                "breakpoint set --name rust_panic",
                "run",
                &format!("breakpoint set --file compact.rs --line {applied}"),
                "fred-reverse-continue 4",
                "expr unsigned long *$op = (unsigned long *)op",
                &format!("fred-reverse-watch {}", sum(0)),
                &format!("fred-reverse-watch {}", sum(5)),
                "bt",
                "fred-reverse-finish",
                "fred-reverse-finish",
                "fred-reverse-finish",
                "frame variable suffix_len",
            ],
        );
        assert!(events.iter().all(is_done), "{lldb}: {events:#?}");
        assert!(said(&events[8]).contains(&format!("compact.rs:{grown}")), "{lldb}: {}", events[8]);
        assert_eq!(place(&events[10]).0, Some(culprit), "{lldb}: {}", events[10]);
        assert_eq!(place(&events[11]).0, Some(grown), "{lldb}: {}", events[11]);
        assert!(said(&events[12]).contains("= 3"), "{lldb}: {}", events[12]);
    }
}
