//! Memory that is shared with others by a file: what cannot be recorded is said.

mod native;

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use native::{Sample, survivors};
use serde_json::Value;

/// Runs a session of the program that waits for a change of a file that it maps; what it says. `change` is done outside, again and
/// again.
fn session(file: &Path, change: impl Fn() + Sync) -> String {
    let sample = Sample::made(&["mapped.c"], "gcc -g -O0 -o program mapped.c");
    symlink(file, sample.path().join("mapped.data")).expect("a name for the file");
    let over = AtomicBool::new(false);
    let mark = format!("mark-{}", sample.path().display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_fred"));
    command.args(["--batch", "--record", "--json", "events"]);
    for line in ["set debug-file-directory /none", "break main", "run", "break done", "continue", "print seen"] {
        command.args(["-e", line]);
    }
    command.args(["--", "gdb", "-q", "-nx", "./program"]).current_dir(sample.path());
    command.env("TERM", "dumb").env("FRED_TEST_MARK", &mark).stdin(Stdio::null());
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                change();
                std::thread::yield_now();
            }
        });
        let output = command.output();
        over.store(true, Ordering::Relaxed);
        output.expect("fred runs")
    });
    assert!(survivors(&mark).is_empty(), "processes survived: {:?}", survivors(&mark));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("$1 = 3"), "{said}");
    let events = std::fs::read_to_string(sample.path().join("events")).expect("events");
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object"));
    let reasons: Vec<Value> =
        events.filter(|event| event["event"] == "unrecorded").map(|event| event["reason"].clone()).collect();
    // Told in words and in the event stream. (Seen to fail when the event is not sent.)
    assert_eq!(stops(&said), reasons.iter().map(|reason| as_told(reason.as_str())).collect::<Vec<_>>(), "{said}");
    said
}

/// How a reason is told.
fn as_told(reason: Option<&str>) -> String {
    format!(
        "{}; from here on moves may lead elsewhere, and do again what the program does outside",
        reason.unwrap_or_default()
    )
}

/// How the recording was said to stop.
fn stops(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.strip_prefix("fred: recording stops here: ")).collect()
}

#[test]
fn that_another_process_writes_to_a_mapped_file_is_noticed() {
    let folder = tempfile::tempdir().expect("a directory");
    let name = folder.path().join("shared");
    std::fs::write(&name, [0; 4096]).expect("the file");
    let file = OpenOptions::new().write(true).open(&name).expect("the file");
    let said = session(&name, || file.write_all_at(&[3], 0).expect("it is written"));
    let [told] = stops(&said)[..] else { panic!("{said}") };
    assert!(told.contains("shared is written to while the program has it mapped"), "{said}");
}

#[test]
fn whoever_has_a_file_mapped_is_found() {
    const OTHER: &str = "\
import mmap, sys
with open(sys.argv[1], 'r+b') as file:
    memory = mmap.mmap(file.fileno(), 4096)
memory[0] = 3
print('mapped', flush=True)
sys.stdin.read()
";
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("shared");
    std::fs::write(&file, [0; 4096]).expect("the file");
    let mut other = Command::new("python3")
        .args(["-c", OTHER])
        .arg(&file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python");
    other.stdout.as_mut().expect("its output").read_exact(&mut [0; 6]).expect("it is ready");
    let said = session(&file, || {});
    drop(other.stdin.take());
    other.wait().expect("it ends");
    let [told] = stops(&said)[..] else { panic!("{said}") };
    assert!(told.contains(&format!("shared is mapped by process {}, too", other.id())), "{said}");
}
