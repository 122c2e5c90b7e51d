//! Re-execution is the same execution: each sample is recorded and replayed. What it prints depends on everything that it was
//! told from outside, and `replay-check` compares each call and all that is written.

mod checked;

use checked::{check, check_in, sample};

fn run(name: &str) -> checked::Checked {
    let folder = tempfile::tempdir().unwrap();
    let program = sample(name, folder.path());
    check(&[program.to_str().unwrap()])
}

macro_rules! same {
    ($($name:ident)*) => { $(
        #[test]
        fn $name() {
            let checked = run(stringify!($name));
            checked.is_same();
            assert!(!checked.printed().is_empty());
        }
    )* };
}

same! { time clocks counter files reads writes network processes signals wakeup itimer itimer_spin threads spin spin_counting preempted_stack preempted_close killed killed_stopped set_aside shared_file }

/// Writes to files are recorded in the program: what is told of is less than what is written.
#[test]
fn writes_to_files_are_no_events() {
    let folder = tempfile::tempdir().unwrap();
    let program = sample("writes", folder.path());
    let checked = check_in(folder.path(), &[program.to_str().unwrap()]);
    checked.is_same();
    let events = checked.report.unwrap()["events"].as_u64().unwrap();
    assert!(events < 1000, "{events}");
}

#[test]
fn output_appears_once_and_the_status_is_reported() {
    let checked = check(&["sh", "-c", "echo once; echo too >&2; exit 5"]);
    checked.is_same();
    assert_eq!((checked.printed().as_str(), checked.said().as_str()), ("once\n", "too\n"));
    assert_eq!(checked.program_status(), Some(5));
}

#[test]
fn a_program_that_dies_by_a_signal_dies_so_again() {
    let checked = check(&["sh", "-c", "kill -SEGV $$"]);
    checked.is_same();
    assert_eq!(checked.report.unwrap()["signal"], libc::SIGSEGV);
}

#[test]
fn what_cannot_be_recorded_stops_it_by_name() {
    let checked = run("shared_key");
    assert_eq!(checked.status(), Some(129));
    assert_eq!(checked.printed(), "before\n");
    assert!(checked.said().contains("shmget"), "{}", checked.said());
}

#[test]
fn a_file_that_was_changed_is_a_difference() {
    let folder = tempfile::tempdir().unwrap();
    let program = sample("rewritten", folder.path());
    let file = folder.path().join("file");
    std::fs::write(&file, "first line\n").unwrap();
    let checked = check(&[program.to_str().unwrap(), file.to_str().unwrap()]);
    assert_eq!((checked.status(), checked.printed().as_str()), (Some(1), "first\n"));
    assert!(checked.said().contains("has been changed since it was recorded"), "{}", checked.said());
    let diverged = checked.report.unwrap()["diverged"].clone();
    assert!(diverged["at"].as_u64().unwrap() > 0 && diverged["expected"].as_str().unwrap().starts_with("mmap("));
}

#[test]
fn a_program_that_cannot_be_started_is_named() {
    let checked = check(&["/no/such/program"]);
    assert_eq!(checked.status(), Some(3));
    assert!(checked.said().contains("/no/such/program"), "{}", checked.said());
}

#[test]
fn programs_that_are_gone_at_the_end_are_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    let script = "cp /bin/echo made; ./made one; mv made other-name; ./other-name two; rm other-name; \
                  ln -s /bin/echo link; ./link three; rm link; mkdir d; cp /bin/echo d/e; cd d; ./e four; \
                  exec 5< e; rm e; /proc/self/fd/5 five; exec 5<&-; PATH=.; e six 2>/dev/null; echo $?";
    let checked = check_in(folder.path(), &["sh", "-c", script]);
    checked.is_same();
    assert_eq!(checked.printed(), "one\ntwo\nthree\nfour\nfive\n127\n");
}

#[test]
fn effects_happen_once() {
    let folder = tempfile::tempdir().unwrap();
    let script = "echo line >> log; mkdir made; (cd made && date > when); mv log kept; echo more >> kept; rm -r made; \
                  printf mail | cat >> sent";
    check_in(folder.path(), &["sh", "-c", script]).is_same();
    let mut names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["kept", "sent"]);
    assert_eq!(std::fs::read_to_string(folder.path().join("kept")).unwrap(), "line\nmore\n");
    assert_eq!(std::fs::read_to_string(folder.path().join("sent")).unwrap(), "mail");
}

mod random {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::process::Command;

    use proptest::prelude::*;

    use super::checked::check_in;

    /// A step with effects on a few files, some of it by another process.
    fn step() -> impl Strategy<Value = String> {
        let name = prop_oneof!["a", "b", "c"];
        (0..8u8, name.clone(), name).prop_map(|(kind, one, two)| match kind {
            0 => format!("echo {one} >> {two}"),
            1 => format!("mv {one} {two} 2>/dev/null"),
            2 => format!("rm -f {one}"),
            3 => format!("cat {one} >> log-{two} 2>/dev/null"),
            4 => format!("mkdir d-{one} 2>/dev/null && echo {two} > d-{one}/made"),
            5 => format!("ln -s {one} l-{two} 2>/dev/null"),
            6 => format!("sed -i s/{one}/{two}/ {two} 2>/dev/null"),
            _ => format!("(echo {one}; cat {two} 2>/dev/null) | sort | tee -a sorted"),
        })
    }

    fn contents(folder: &Path, into: &mut BTreeMap<String, Vec<u8>>, prefix: &str) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                contents(&entry.path(), into, &format!("{name}/"));
            } else if entry.file_type().unwrap().is_symlink() {
                into.insert(name, std::fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes());
            } else {
                into.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever it does to files, once recorded and once replayed leaves what one plain run leaves.
        #[test]
        fn recorded_and_replayed_is_as_run_once(steps in prop::collection::vec(step(), 1..12)) {
            let script = steps.join("\n");
            let (plain, twice) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let once = Command::new("sh").args(["-c", &script]).current_dir(plain.path()).output().unwrap();
            let checked = check_in(twice.path(), &["sh", "-c", &script]);
            checked.is_same();
            let (mut expected, mut found) = (BTreeMap::new(), BTreeMap::new());
            contents(plain.path(), &mut expected, "");
            contents(twice.path(), &mut found, "");
            prop_assert_eq!(expected, found);
            prop_assert_eq!(&once.stdout, &checked.output.stdout);
            prop_assert_eq!(once.status.code().map(i64::from), checked.program_status());
        }
    }
}
