//! The checkpointer by itself.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use fred_checkpointer::record;

/// Checkpoints, recordings and replays of any program.
#[derive(Parser)]
#[command(name = "fred-ckpt", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Record a run, replay it from the start, and compare: exit status 0 if they are the same, 1 if not
    ReplayCheck {
        /// Write a report, one JSON object, to FILE (`-`: standard output, after the program's own)
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Record with another schedule of the threads each time, to bring races out
        #[arg(long)]
        chaos: bool,
        /// The program and its arguments
        #[arg(last = true, required = true, value_name = "PROGRAM")]
        program: Vec<OsString>,
    },
}

/// Exit status for failures of our own.
const FAILED: u8 = 129;
/// The program could not be started.
const NOT_STARTED: u8 = 3;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("__supervisor") {
        return match fred_checkpointer::supervisor::main() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let Command::ReplayCheck { json, chaos, program } = Arguments::parse().command;
    let argv: Vec<Vec<u8>> = program.into_iter().map(OsString::into_vec).collect();
    let report = match record::check(&argv, chaos) {
        Ok(report) => report,
        Err(error) => {
            eprintln!("fred-ckpt: {error}");
            if let Some(path) = json {
                let failed = serde_json::json!({ "verdict": "failed", "error": error.to_string() });
                write_report(&path, &failed).ok();
            }
            let started = !matches!(error, record::Trouble::Start { .. });
            return ExitCode::from(if started { FAILED } else { NOT_STARTED });
        }
    };
    if let Some(path) = json
        && let Err(error) = write_report(&path, &report)
    {
        eprintln!("fred-ckpt: cannot write {}: {error}", path.display());
        return ExitCode::from(FAILED);
    }
    if !report.deadlock.is_empty() {
        eprintln!("fred-ckpt: deadlock: no thread can go on");
        report.deadlock.iter().for_each(|waiting| eprintln!("fred-ckpt:   {waiting}"));
    }
    match &report.diverged {
        None => ExitCode::SUCCESS,
        Some(diverged) => {
            eprintln!("fred-ckpt: {diverged}");
            ExitCode::from(1)
        }
    }
}

fn write_report(path: &std::path::Path, report: &impl serde::Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_string(report)?;
    line.push('\n');
    if path.as_os_str() == "-" {
        return std::io::stdout().write_all(line.as_bytes());
    }
    std::fs::write(path, line)
}
