//! pdb as a program under the checkpointer.

mod common;
use common::Bench;

#[test]
fn live_pdb_goes_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let script = dir.path().join("s.py");
    std::fs::write(&script, "import os\nx = 1\nx = 2\nx = 3\nprint(os.getpid())\nx = 4\n").expect("script");
    let mut bench = Bench::start(&["python3", "-m", "pdb", script.to_str().expect("utf-8")]);
    let first = bench.until_reading();
    assert!(first.ends_with("(Pdb) "), "{first}");
    let t = std::time::Instant::now();
    let id = bench.checkpoint();
    eprintln!("ckpt {:?}", t.elapsed());
    for _ in 0..5 {
        let t = std::time::Instant::now();
        let out = bench.say("next");
        eprintln!("next {:?} {out:?}", t.elapsed());
    }
    let pid = bench.say("p os.getpid(), x");
    for _ in 0..10 {
        let t = std::time::Instant::now();
        bench.restore(id);
        eprintln!("restore {:?}", t.elapsed());
        for _ in 0..5 {
            bench.say("next");
        }
        assert_eq!(bench.say("p os.getpid(), x"), pid);
    }
}
