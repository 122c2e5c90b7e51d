//! Every sample program is content with itself when no checkpoint is taken, and can change everything that it set up.

mod double;

use std::fs;
use std::process::Command;

use double::{Program, compile, samples};

#[test]
fn every_sample_says_ok_without_any_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for file in fs::read_dir(samples()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "c") {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let program = compile(&name, folder.path());
        for (order, answer) in [("check", "ok"), ("mutate", "mutated")] {
            let mut sample = Program::start(&mut Command::new(&program));
            let ready = sample.hear();
            sample.say(order);
            let heard = sample.hear();
            if (ready.as_str(), heard.as_str()) != ("ready", answer) {
                wrong.push(format!("{name}: {ready}, {order}: {heard}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
