//! Every sample program is content with itself when no checkpoint is taken, and can change everything that it set up.

mod double;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use double::{Program, compile, samples};

/// What a sample answers to each order that is not what it should.
fn complaints(source: &Path, folder: &Path) -> Vec<String> {
    let name = source.file_stem().unwrap().to_str().unwrap();
    let program = compile(name, folder);
    let mut wrong = Vec::new();
    for (order, answer) in [("check", "ok"), ("mutate", "mutated")] {
        let mut sample = Program::start(&mut Command::new(&program));
        let ready = sample.hear();
        sample.say(order);
        let heard = sample.hear();
        if (ready.as_str(), heard.as_str()) != ("ready", answer) {
            wrong.push(format!("{name}: {ready}, {order}: {heard}"));
        }
    }
    wrong
}

#[test]
fn every_sample_says_ok_without_any_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let files = fs::read_dir(samples()).unwrap().map(|file| file.unwrap().path());
    let sources: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|extension| extension == "c")).collect();
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(source) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let complaints = complaints(source, folder.path());
                    wrong.lock().unwrap().extend(complaints);
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
