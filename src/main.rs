//! The `fred` program: arguments in, exit status out.

use std::ffi::OsString;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use fred::args::{Cli, Parsed, Refusal, Sub, parse};
use fred::launch::Trouble;
use fred::{bisect, demo, doctor, launch, signals, status};

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "__supervisor") {
        // The same program, started again by the engine: it traces, and must have one thread only.
        if let Some(log) = std::env::var_os("FRED_SUPERVISOR_LOG") {
            log_to(Path::new(&log)).ok();
        }
        // What it writes to its terminal is the program's, and nobody may be there to read it.
        std::panic::set_hook(Box::new(|panic| {
            tracing::error!("{panic}\n{}", std::backtrace::Backtrace::capture());
        }));
        let served = fred_checkpointer::supervisor::main();
        if let Err(error) = &served {
            tracing::error!("the supervisor ends: {error}");
        }
        return served.map_or(ExitCode::from(status::FRED_FAILED), |()| ExitCode::SUCCESS);
    }
    let parsed = match parse(words) {
        Ok(parsed) => parsed,
        Err(Refusal::Clap(error)) => {
            // A closed pipe behind --help is not worth a word.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(status::USAGE));
        }
        Err(Refusal::Script(message)) => return refuse(&message, status::USAGE),
    };
    match catch_unwind(AssertUnwindSafe(|| run(&parsed))) {
        Ok(Ok(status)) => ExitCode::from(status),
        Ok(Err(error)) => {
            let status = error.downcast_ref::<Trouble>().map_or(status::FRED_FAILED, Trouble::status);
            refuse(&format!("{error:#}"), status)
        }
        // The panic has been printed.
        Err(_) => ExitCode::from(status::FRED_FAILED),
    }
}

fn run(parsed: &Parsed) -> anyhow::Result<u8> {
    let shared = match &parsed.cli.command {
        None => Some(&parsed.cli.session.shared),
        Some(Sub::Bisect(args)) => Some(&args.shared),
        Some(_) => None,
    };
    if let Some(log) = shared.and_then(|shared| shared.log.as_deref()) {
        log_to(log)?;
    }
    if !matches!(parsed.cli.command, Some(Sub::Completions { .. } | Sub::Doctor { .. })) {
        signals::guard_terminal().context("cannot guard the terminal")?;
    }
    match &parsed.cli.command {
        None => Ok(launch::session(&parsed.cli.session, &parsed.steps)?),
        Some(Sub::Bisect(args)) => Ok(bisect::run(args)?),
        Some(Sub::Resume { session }) => {
            let message =
                format!("cannot resume {}: fred resume is not available yet in this version", session.display());
            Err(Trouble::Usage(message).into())
        }
        Some(Sub::Demo { debugger }) => Ok(demo::run(debugger)?),
        Some(Sub::Doctor { json }) => Ok(doctor::run(*json)),
        Some(Sub::Completions { shell }) => {
            clap_complete::generate(*shell, &mut Cli::command(), "fred", &mut std::io::stdout());
            Ok(status::DONE)
        }
    }
}

/// Diagnostics go to that file and nowhere else; FRED_LOG says how much.
fn log_to(path: &Path) -> Result<(), Trouble> {
    let file = File::create(path)
        .map_err(|error| Trouble::Usage(format!("cannot write diagnostics to {}: {error}", path.display())))?;
    let filter = tracing_subscriber::EnvFilter::try_from_env("FRED_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(file).with_ansi(false).init();
    Ok(())
}

fn refuse(message: &str, status: u8) -> ExitCode {
    eprintln!("fred: {message}");
    ExitCode::from(status)
}
