//! `fred doctor`: what works here, tried for real.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Serialize;

use crate::status;

/// A check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was tried.
    pub name: &'static str,
    /// Whether it works.
    pub ok: bool,
    /// Whether a pdb session needs it.
    pub needed: bool,
    /// What was seen.
    pub detail: String,
    /// What to do when it does not work.
    pub mend: Option<&'static str>,
}

impl Check {
    fn new(name: &'static str, needed: bool, seen: Result<String, String>, mend: &'static str) -> Self {
        let (ok, detail) = match seen {
            Ok(detail) => (true, detail),
            Err(detail) => (false, detail),
        };
        Self { name, ok, needed, detail, mend: (!ok).then_some(mend) }
    }
}

#[derive(Serialize)]
struct Findings<'a> {
    version: &'static str,
    ok: bool,
    checks: &'a [Check],
}

/// Prints the checks; the exit status: 0 when a pdb session can run, else 1.
pub fn run(json: bool) -> u8 {
    let checks = checks();
    let ok = checks.iter().all(|check| check.ok || !check.needed);
    if json {
        let findings = Findings { version: env!("CARGO_PKG_VERSION"), ok, checks: &checks };
        println!("{}", serde_json::to_string(&findings).unwrap_or_default());
    } else {
        print!("{}", text(&checks, ok));
    }
    if ok { status::DONE } else { status::REFUSED }
}

fn text(checks: &[Check], ok: bool) -> String {
    let mut out = String::new();
    for check in checks {
        let mark = match (check.ok, check.needed) {
            (true, _) => "ok",
            (false, true) => "NO",
            (false, false) => "--",
        };
        let detail = check.detail.replace('\n', "\n                       ");
        out.push_str(&format!("{mark}  {:<18} {detail}\n", check.name));
        if let Some(mend) = check.mend {
            out.push_str(&format!("                       {mend}\n"));
        }
    }
    out.push_str(if ok {
        "\nfred -- python3 -m pdb ... can run here.\n"
    } else {
        "\nA pdb session cannot run here: see NO above.\n"
    });
    out
}

fn checks() -> Vec<Check> {
    vec![
        Check::new("kernel", true, kernel(), "Linux 5.9 or later is needed"),
        Check::new("architecture", true, architecture(), "fred runs on x86-64"),
        Check::new(
            "ptrace",
            true,
            fred_checkpointer::doctor::ptrace_a_child().map(|()| "a child can be stopped and read".into()),
            "in a container: --cap-add=SYS_PTRACE, or a runtime whose seccomp profile allows ptrace",
        ),
        Check::new("yama", true, yama(), "sysctl kernel.yama.ptrace_scope=1 (as root)"),
        Check::new(
            "seccomp",
            true,
            seccomp(),
            "the kernel needs CONFIG_SECCOMP_FILTER; in a container, a runtime that allows nested filters",
        ),
        Check::new("terminals", true, terminals(), "mount devpts: mount -t devpts devpts /dev/pts"),
        Check::new("memory", false, memory(), "give fewer checkpoints room: --memory-limit 128M"),
        Check::new("pdb", true, pdb(), "install Python 3.6 or later (apt-get install python3)"),
        Check::new("ipdb", false, ipdb(), "python3 -m pip install ipdb"),
        Check::new("gdb", false, version("gdb"), "apt-get install gdb; not needed for Python"),
        Check::new("lldb", false, lldb(), "apt-get install lldb-16; not needed for Python"),
    ]
}

fn kernel() -> Result<String, String> {
    let release = read("/proc/sys/kernel/osrelease")?;
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (5, 9) { Ok(format!("Linux {release}")) } else { Err(format!("Linux {release}")) }
}

fn architecture() -> Result<String, String> {
    let name = std::env::consts::ARCH.to_owned();
    if name == "x86_64" { Ok(name) } else { Err(name) }
}

/// Scopes 0 and 1 let a process trace its descendants; 2 asks for a capability; 3 forbids it.
/// (Documentation/admin-guide/LSM/Yama.rst)
fn yama() -> Result<String, String> {
    match read("/proc/sys/kernel/yama/ptrace_scope").as_deref() {
        Err(_) => Ok("not active".into()),
        Ok(scope @ ("0" | "1")) => Ok(format!("ptrace_scope is {scope}: own children may be traced")),
        Ok("2") => match fred_checkpointer::doctor::ptrace_a_child() {
            Ok(()) => Ok("ptrace_scope is 2, but this user may trace".into()),
            Err(_) => Err("ptrace_scope is 2: only an administrator may trace".into()),
        },
        Ok(scope) => Err(format!("ptrace_scope is {scope}: nobody may trace")),
    }
}

fn seccomp() -> Result<String, String> {
    let status = read("/proc/self/status")?;
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:")).map(str::trim);
    let nested = if mode.is_some_and(|mode| mode != "0") { "; this process is under a filter itself" } else { "" };
    fred_checkpointer::doctor::install_a_filter()?;
    match read("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) if !actions.split_whitespace().any(|action| action == "trace") => {
            Err(format!("filters can be installed, but the action trace is missing ({actions})"))
        }
        _ => Ok(format!("filters can be installed{nested}")),
    }
}

fn terminals() -> Result<String, String> {
    use nix::fcntl::OFlag;
    let master =
        nix::pty::posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY).map_err(|error| format!("/dev/ptmx: {error}"))?;
    nix::pty::grantpt(&master)
        .and_then(|()| nix::pty::unlockpt(&master))
        .map_err(|error| format!("/dev/pts: {error}"))?;
    Ok("a pseudo-terminal can be opened".into())
}

fn memory() -> Result<String, String> {
    let info = read("/proc/meminfo")?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap_or_default();
    let kb: u64 = line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0);
    let seen = format!("{} MB free", kb / 1024);
    if kb >= 256 * 1024 { Ok(seen) } else { Err(seen) }
}

/// Every Python that has pdb, as `version path`.
fn pdb() -> Result<String, String> {
    let found = pythons("import pdb, sys; print('.'.join(map(str, sys.version_info[:3])), sys.executable)");
    if found.is_empty() { Err("no Python with pdb found in PATH".into()) } else { Ok(found.join("\n")) }
}

fn ipdb() -> Result<String, String> {
    let found = pythons("import ipdb, sys; print('.'.join(map(str, sys.version_info[:3])), sys.executable)");
    if found.is_empty() { Err("not installed".into()) } else { Ok(found.join("\n")) }
}

fn version(name: &'static str) -> Result<String, String> {
    let path = directories().map(|dir| dir.join(name)).find(|path| path.is_file()).ok_or("not found in PATH")?;
    Ok(first_line(Command::new(path).arg("--version")).unwrap_or_else(|| name.to_owned()))
}

/// Every lldb under a name of its own, and whether it can load the helper.
fn lldb() -> Result<String, String> {
    let is_lldb = |name: &str| {
        let rest = name.strip_prefix("lldb");
        rest.is_some_and(|rest| rest.strip_prefix('-').unwrap_or(rest).chars().all(|c| c.is_ascii_digit()))
    };
    let mut files = BTreeSet::new();
    // /bin can be /usr/bin.
    for directory in directories().filter_map(|directory| directory.canonicalize().ok()) {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(is_lldb) {
                files.insert(entry.path());
            }
        }
    }
    let found: Vec<String> = files.into_iter().filter_map(lldb_version).collect();
    if found.is_empty() { Err("not found in PATH".into()) } else { Ok(found.join("\n")) }
}

fn lldb_version(path: PathBuf) -> Option<String> {
    let version = first_line(Command::new(&path).arg("--version"))?;
    let print = "script import lldb; print('lo' + 'aded')";
    let asked = Command::new(&path).args(["-x", "-b", "-o", print]).stdin(Stdio::null()).output().ok()?;
    let loads = String::from_utf8_lossy(&asked.stdout).contains("loaded");
    let python = if loads { "" } else { ": its Python does not load, fred cannot use it" };
    Some(format!("{version} {}{python}", path.display()))
}

/// What the program prints under each different Python 3, where it succeeds.
fn pythons(program: &str) -> Vec<String> {
    let mut files = BTreeSet::new();
    for directory in directories() {
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(is_python) {
                files.extend(entry.path().canonicalize());
            }
        }
    }
    let root = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let root = root.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")));
    for version in root.and_then(|root| std::fs::read_dir(root.join("versions")).ok()).into_iter().flatten().flatten() {
        files.extend(version.path().join("bin/python3").canonicalize());
    }
    let found: BTreeSet<_> = files
        .iter()
        // Shims start the others.
        .filter(|file| !file.components().any(|part| part.as_os_str() == "shims"))
        .filter_map(|file| first_line(Command::new(file).args(["-c", program])))
        .collect();
    found.into_iter().collect()
}

/// `python3`, `python3.12`, `python`.
fn is_python(name: &str) -> bool {
    name.strip_prefix("python").is_some_and(|version| {
        version.is_empty() || (version.starts_with('3') && version.chars().all(|c| c.is_ascii_digit() || c == '.'))
    })
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    output.status.success().then(|| text.lines().next().map(str::to_owned)).flatten()
}

fn directories() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect::<Vec<_>>().into_iter()
}

fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map(|text| text.trim().to_owned()).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_python() {
        assert!(["python", "python3", "python3.12"].into_iter().all(is_python));
        assert!(!["python2", "python3-config", "python2.7", "pythonw", "ipython3"].into_iter().any(is_python));
    }

    #[test]
    fn what_is_missing_is_said_with_its_mending() {
        let checks = [
            Check::new("kernel", true, Ok("Linux 6.1".into()), "newer"),
            Check::new("pdb", true, Err("none".into()), "install it"),
            Check::new("gdb", false, Err("none".into()), "never mind"),
        ];
        insta::assert_snapshot!(text(&checks, false), @r"
        ok  kernel             Linux 6.1
        NO  pdb                none
                               install it
        --  gdb                none
                               never mind

        A pdb session cannot run here: see NO above.
        ");
        assert_eq!(checks[0].mend, None);
    }
}
