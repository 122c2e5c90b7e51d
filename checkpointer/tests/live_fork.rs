//! Forked checkpoints of real processes.

mod common;
use common::Bench;

fn shell() -> Bench {
    Bench::start(&[
        "/bin/bash",
        "--norc",
        "--noprofile",
        "-c",
        "echo start; while read -r line; do eval \"$line\"; done; exit 7",
    ])
}

#[test]
fn live_a_copy_goes_on_from_where_it_was() {
    let mut bench = shell();
    assert_eq!(bench.until_reading(), "start\r\n");
    bench.say("x=1");
    let id = bench.checkpoint();
    assert_eq!(bench.say("x=2; echo $x"), "2\r\n");
    for _ in 0..20 {
        assert_eq!(bench.restore(id), "");
        assert_eq!(bench.say("echo $x; x=3"), "1\r\n");
    }
    let pid = bench.say("echo $BASHPID");
    bench.restore(id);
    assert_eq!(bench.say("echo $BASHPID"), pid);
    let aside = bench.client.suspend().expect("suspend").id;
    bench.client.start_copy(aside).expect("start");
    bench.until_reading();
    assert_eq!(bench.say("echo other $x"), "other 1\r\n");
    bench.client.resume(aside).expect("resume");
    bench.until_reading();
    assert_eq!(
        bench.say("echo same $x; /bin/echo child; ls /nonexistent 2>/dev/null || echo no"),
        "same 1\r\nchild\r\nno\r\n"
    );
    bench.type_line("exit 3");
    assert_eq!(bench.until_exit(), (Some(3), None, String::new()));
}
