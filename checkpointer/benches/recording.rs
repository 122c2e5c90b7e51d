//! What recording costs: each program plain and recorded, in turns, medians; and how long its replay takes, and how big its
//! log is, altogether and by second of the recording. One JSON object a line; `limit` is the ratio that is promised, or, for the
//! start, milliseconds.
//!
//! Arguments: rounds.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// C programs by name: source, and the ratio to a plain run that is promised.
const PROGRAMS: &[(&str, &str, Option<f64>)] = &[
    ("compute", "int main(void){volatile unsigned long s=0;for(long i=0;i<4000000000;i++)s+=i;return 0;}", Some(1.02)),
    (
        "100,000 clock reads",
        "#include <time.h>\nint main(void){struct timespec t;for(int i=0;i<100000;i++)clock_gettime(1,&t);return 0;}",
        Some(40.0),
    ),
    (
        "100,000 reads",
        "#include <fcntl.h>\n#include <unistd.h>\nint main(void){char b;int f=open(\"/dev/zero\",0);\
         for(int i=0;i<100000;i++)read(f,&b,1);return 0;}",
        Some(15.0),
    ),
    (
        "100,000 writes",
        "#include <fcntl.h>\n#include <unistd.h>\nint main(void){int f=open(\"/dev/null\",1);\
         for(int i=0;i<100000;i++)write(f,\"x\",1);return 0;}",
        Some(15.0),
    ),
    // No limit is promised: what the project is measured against does not have this row.
    ("web server, 2,000 requests", include_str!("web_server.c"), None),
];

fn measure(name: &str, words: &[&str], limit: Option<f64>, rounds: usize) {
    let limit = limit.map_or_else(|| "null".to_owned(), |limit| limit.to_string());
    let (mut plain, mut recorded, mut replayed, mut bytes) = (vec![], vec![], vec![], 0);
    let report = tempfile::NamedTempFile::new().expect("a file");
    for _ in 0..rounds {
        let begin = Instant::now();
        let status = Command::new(words[0]).args(&words[1..]).stdout(Stdio::null()).status().expect(words[0]);
        assert!(status.success(), "{name}");
        plain.push(begin.elapsed().as_secs_f64() * 1000.0);
        let status = Command::new(env!("CARGO_BIN_EXE_fred-ckpt"))
            .args(["replay-check", "--json"])
            .arg(report.path())
            .arg("--")
            .args(words)
            .stdout(Stdio::null())
            .status()
            .expect("fred-ckpt");
        assert!(status.success(), "{name}");
        let text = std::fs::read_to_string(report.path()).expect("a report");
        let found: serde_json::Value = serde_json::from_str(&text).expect("a report");
        recorded.push(found["recorded_ms"].as_f64().expect("a figure"));
        replayed.push(found["replayed_ms"].as_f64().expect("a figure"));
        bytes = found["bytes"].as_u64().expect("a figure");
    }
    let (plain, recorded, replayed) = (median(plain), median(recorded), median(replayed));
    println!(
        "{{\"program\":\"{name}\",\"plain_ms\":{plain:.1},\"recorded_ms\":{recorded:.1},\"ratio\":{:.2},\"limit\":{limit},\
         \"replayed_ms\":{replayed:.1},\"log_bytes\":{bytes},\"log_kb_per_s\":{:.0}}}",
        recorded / plain,
        bytes as f64 / recorded
    );
}

fn compile(source: &str, folder: &Path) -> String {
    let (text, program) = (folder.join("program.c"), folder.join("program"));
    std::fs::write(&text, source).expect("a file");
    assert!(
        Command::new("gcc")
            .args(["-O1", "-w", "-pthread", "-o"])
            .arg(&program)
            .arg(&text)
            .status()
            .expect("gcc")
            .success()
    );
    program.to_str().expect("a path").to_owned()
}

fn main() {
    let rounds = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let Some(rounds) = rounds else { return };
    let folder = tempfile::tempdir().expect("a folder");
    measure("start (limit in ms)", &["/bin/true"], Some(50.0), rounds);
    for (name, source, limit) in PROGRAMS {
        let program = compile(source, folder.path());
        measure(name, &[&program], *limit, rounds);
    }
    // Not a script that looks for an interpreter.
    let found = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output().expect("python3");
    let python = String::from_utf8(found.stdout).expect("a path");
    measure("Python loop", &[python.trim(), "-c", "n = 0\nfor i in range(10_000_000): n += i"], Some(1.1), rounds);
    let source = folder.path().join("program.c");
    let object = folder.path().join("program.o");
    let (source, object) = (source.to_str().expect("a path"), object.to_str().expect("a path"));
    measure("gcc", &["gcc", "-O2", "-c", "-o", object, source], Some(3.0), rounds);
}
