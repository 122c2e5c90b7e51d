//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::script::{Step, read_script};

/// fred makes ordinary debuggers reversible.
#[derive(Debug, Parser)]
#[command(
    name = "fred",
    version,
    about = "Makes an ordinary debugger reversible: its own prompt, plus fred-undo, fred-reverse-step, fred-reverse-watch EXPR, ...",
    override_usage = "fred [OPTIONS] -- DEBUGGER [ARG...]\n       fred <COMMAND>",
    after_help = "Examples:\n  fred -- python3 -m pdb script.py\n  fred --batch -e 'break 12' -e continue -e 'fred-reverse-watch x < 5' -- python3 -m pdb script.py\n\n\
                  At the prompt, fred-help lists the fred commands.",
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What else fred can do.
    #[command(subcommand)]
    pub command: Option<Sub>,

    /// A session.
    #[command(flatten)]
    pub session: SessionArgs,
}

/// `fred [OPTIONS] -- DEBUGGER [ARG...]`
#[derive(Debug, Args)]
pub struct SessionArgs {
    /// Run the commands in FILE first (repeatable, in order with -e)
    #[arg(short = 'x', long = "source", value_name = "FILE")]
    source: Vec<PathBuf>,

    /// Run CMD first (repeatable)
    #[arg(short = 'e', long = "ex", value_name = "CMD", allow_hyphen_values = true)]
    ex: Vec<String>,

    /// Exit when those are done; never prompt; no colour
    #[arg(long)]
    pub batch: bool,

    /// End a script at the first command that fails
    #[arg(long)]
    pub stop_on_error: bool,

    /// The full-screen interface
    #[arg(long)]
    pub tui: bool,

    /// What all sessions take.
    #[command(flatten)]
    pub shared: Shared,

    /// The debugger and its arguments
    #[arg(last = true, value_name = "DEBUGGER", required = true)]
    pub debugger: Vec<OsString>,
}

/// What sessions and `fred bisect` take.
#[derive(Debug, Args)]
pub struct Shared {
    /// Write an event stream, a JSON object a line (-: standard output, which then carries nothing else)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// How often to checkpoint during a long `continue`: 500ms, 1s, 2m, off
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = every)]
    pub checkpoint_every: Every,

    /// For checkpoints: 512M, 2G [default: half of what is free]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    pub memory_limit: Option<u64>,

    /// Record what the program does outside and learns from there (the default): going back and forth does nothing twice, and gives it
    /// the same time, random bytes and input again
    #[arg(long, overrides_with = "no_record")]
    pub record: bool,

    /// Record nothing: what runs again does everything again, and asks the system again
    #[arg(long, overrides_with = "record")]
    pub no_record: bool,

    /// Write diagnostics to FILE (how much: FRED_LOG=debug); never on the terminal
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Sub {
    /// Find the statement that changed EXPR, unattended
    #[command(override_usage = "fred bisect [OPTIONS] --watch EXPR -- DEBUGGER [ARG...]\n       \
                                fred bisect [OPTIONS] --good EXPR -- DEBUGGER [ARG...]")]
    Bisect(Box<BisectArgs>),
    /// Reopen a saved session
    Resume {
        /// The directory that fred-save wrote
        session: PathBuf,
    },
    /// Show reverse-watch finding a bug in a bundled program
    Demo {
        /// The debugger to show
        #[arg(default_value = "pdb", value_parser = crate::demo::DEBUGGERS)]
        debugger: String,
    },
    /// Say what works here, and how to mend what does not
    Doctor {
        /// As one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// `fred bisect`
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("expression").required(true).args(["watch", "good"]))]
pub struct BisectArgs {
    /// Find the statement after which EXPR has the value that it has at the bad point
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub watch: Option<String>,

    /// The same for an EXPR that should be true and is False at the bad point
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    pub good: Option<String>,

    /// Run CMD before the first checkpoint (repeatable)
    #[arg(long, value_name = "CMD")]
    pub start: Vec<String>,

    /// Run CMD to reach the bad point (repeatable) [default: run until the program stops by itself]
    #[arg(long, value_name = "CMD")]
    pub until: Vec<String>,

    /// Write a report; FILE ends in .md
    #[arg(long, value_name = "FILE", value_parser = report_file)]
    pub report: Option<PathBuf>,

    /// Probes in parallel
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: u16,

    /// What all sessions take.
    #[command(flatten)]
    pub shared: Shared,

    /// The debugger and its arguments
    #[arg(last = true, value_name = "DEBUGGER", required = true)]
    pub debugger: Vec<OsString>,
}

/// A command line that was understood.
pub struct Parsed {
    /// The arguments.
    pub cli: Cli,
    /// What `-e` and `-x` gave, in the order of the command line.
    pub steps: Vec<Step>,
}

/// Why there is nothing to run.
pub enum Refusal {
    /// clap has something to say: an error, the help or the version.
    Clap(clap::Error),
    /// A script cannot be read.
    Script(String),
}

/// Reads the command line, and the scripts named in it.
///
/// # Errors
/// See [`Refusal`].
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Parsed, Refusal> {
    let matches = Cli::command().try_get_matches_from(words).map_err(Refusal::Clap)?;
    let cli = Cli::from_arg_matches(&matches).map_err(Refusal::Clap)?;
    let steps = steps(&matches, &cli.session).map_err(Refusal::Script)?;
    Ok(Parsed { cli, steps })
}

fn steps(matches: &ArgMatches, args: &SessionArgs) -> Result<Vec<Step>, String> {
    let places = |id| matches.indices_of(id).into_iter().flatten();
    let mut steps = Vec::new();
    for (place, line) in places("ex").zip(&args.ex) {
        steps.push((place, Step::Command(line.clone())));
    }
    for (place, file) in places("source").zip(&args.source) {
        steps.push((place, Step::File(read_script(file)?)));
    }
    steps.sort_by_key(|(place, _)| *place);
    Ok(steps.into_iter().map(|(_, step)| step).collect())
}

/// How often something is done; never is possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every(pub Option<Duration>);

/// `500ms`, `1s`, `2m`, `1h`, `off`.
fn every(text: &str) -> Result<Every, String> {
    const UNITS: [(&str, f64); 4] = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    if text == "off" {
        return Ok(Every(None));
    }
    let wrong = || "not a duration; it looks like 500ms, 1s, 2m or off".to_owned();
    let (number, unit) = split_unit(text);
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let every = Duration::try_from_secs_f64(number * unit).map_err(|_| wrong())?;
    if every < Duration::from_millis(1) {
        return Err("too short; 1ms is the least, off is never".to_owned());
    }
    Ok(Every(Some(every)))
}

/// `512M`, `2G`; powers of 1024; bytes without a letter.
fn bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 5] = [("", 0), ("K", 10), ("M", 20), ("G", 30), ("T", 40)];
    let wrong = || "not a size; it looks like 512M or 2G".to_owned();
    let (number, unit) = split_unit(text);
    let unit = unit.to_ascii_uppercase();
    let unit = unit.strip_suffix("IB").or_else(|| unit.strip_suffix('B')).unwrap_or(&unit);
    let (_, shift) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let size = number * (1u64 << shift) as f64;
    // 2^53: beyond it a number of bytes is no longer exact, and no machine has it.
    if !(1.0..=9e15).contains(&size) { Err(wrong()) } else { Ok(size as u64) }
}

fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|letter: char| letter.is_alphabetic()).unwrap_or(text.len()))
}

fn report_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("md") => Ok(path),
        Some("html") => Err(".html reports are not available yet in this version; take .md".to_owned()),
        _ => Err("a report ends in .md".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Parsed, Refusal> {
        parse(line.split(' ').map(OsString::from))
    }

    fn exit_of(line: &str) -> i32 {
        match parsed(line) {
            Ok(_) => -1,
            Err(Refusal::Clap(error)) => error.exit_code(),
            Err(Refusal::Script(_)) => 2,
        }
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn scripts_and_commands_keep_their_order() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "next\n").unwrap();
        let path = file.path().display();
        let steps =
            parsed(&format!("fred -e a -x {path} --ex b --source={path} -ec -- pdb -x y -e z")).ok().unwrap().steps;
        let text = Step::File("next\n".into());
        let command = |line: &str| Step::Command(line.into());
        assert_eq!(steps, [command("a"), text.clone(), command("b"), text, command("c")]);
    }

    #[test]
    fn usage_errors() {
        for line in [
            "fred",
            "fred pdb x.py",
            "fred --batch",
            "fred --",
            "fred --nonsense -- pdb",
            "fred -x /nowhere/at/all -- pdb",
            "fred --checkpoint-every 1 -- pdb",
            "fred --memory-limit x -- pdb",
            "fred bisect -- pdb",
            "fred bisect --watch x --good y -- pdb",
            "fred bisect --watch x",
            "fred bisect --watch x --report x.txt -- pdb",
            "fred bisect --watch x --jobs 0 -- pdb",
            "fred resume",
            "fred demo nobody",
            "fred completions nosh",
        ] {
            assert_eq!(exit_of(line), 2, "{line}");
        }
        for line in ["fred --help", "fred --version", "fred bisect --help"] {
            assert_eq!(exit_of(line), 0, "{line}");
        }
        for line in
            ["fred -- gdb ./app", "fred --batch -e next -- pdb x", "fred resume d", "fred demo", "fred doctor --json"]
        {
            assert_eq!(exit_of(line), -1, "{line}");
        }
    }

    #[test]
    fn durations_and_sizes() {
        assert_eq!(every("500ms"), Ok(Every(Some(Duration::from_millis(500)))));
        assert_eq!(every("1.5s"), Ok(Every(Some(Duration::from_millis(1500)))));
        assert_eq!(every("2m"), Ok(Every(Some(Duration::from_secs(120)))));
        assert_eq!(every("off"), Ok(Every(None)));
        assert!(every("0s").is_err() && every("-1s").is_err() && every("s").is_err() && every("1e999s").is_err());
        assert_eq!(bytes("512M"), Ok(512 << 20));
        assert_eq!(bytes("2G"), Ok(2 << 30));
        assert_eq!(bytes("2GiB"), Ok(2 << 30));
        assert_eq!(bytes("4096"), Ok(4096));
        assert!(bytes("0").is_err() && bytes("-1G").is_err() && bytes("M").is_err() && bytes("9999999T").is_err());
    }
}
