//! How long a process of a given size is held for a checkpoint, and how long a checkpoint and a restore take as a whole,
//! against fork() in a process of the same size. One JSON object a line.
//!
//! Arguments: the interpreter, the program `heap.py`, rounds, then sizes in megabytes.

#[path = "../tests/common/mod.rs"]
mod common;

use std::process::Command;
use std::time::Instant;

use common::Bench;

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn forks(interpreter: &str, program: &str, size: &str, rounds: usize) -> Vec<f64> {
    let rounds = rounds.to_string();
    let output = Command::new(interpreter).args([program, size, &rounds]).output().expect("the interpreter");
    let text = String::from_utf8(output.stdout).expect("numbers");
    text.lines().map(|line| line.parse().expect("a number")).collect()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [interpreter, program, rounds, sizes @ ..] = words.as_slice() else {
        return;
    };
    let rounds: usize = rounds.parse().expect("a number of rounds");
    for size in sizes {
        let (mut held, mut checkpoint, mut restore, mut answer, mut fork) = (vec![], vec![], vec![], vec![], vec![]);
        // In halves round the peer's, so that a load that comes or goes is shared.
        for half in 0..2 {
            let mut session = Bench::start(&[interpreter, program, size]);
            session.until_reading();
            for _ in 0..rounds / 2 {
                let begin = Instant::now();
                let stopped = session.client.checkpoint().expect("a checkpoint");
                checkpoint.push(begin.elapsed().as_secs_f64() * 1000.0);
                #[allow(clippy::cast_precision_loss)]
                held.push(stopped.held_us as f64 / 1000.0);
                let begin = Instant::now();
                session.client.start_copy(stopped.id).expect("a restore");
                restore.push(begin.elapsed().as_secs_f64() * 1000.0);
                session.until_reading();
                answer.push(begin.elapsed().as_secs_f64() * 1000.0);
                session.client.drop_copy(stopped.id).expect("a drop");
            }
            drop(session);
            if half == 0 {
                fork = forks(interpreter, program, size, rounds);
            }
        }
        println!(
            "{{\"mb\":{size},\"fork_ms\":{:.3},\"held_ms\":{:.3},\"checkpoint_ms\":{:.3},\"restore_ms\":{:.3},\"answer_ms\":{:.3}}}",
            median(fork),
            median(held),
            median(checkpoint),
            median(restore),
            median(answer)
        );
    }
}
