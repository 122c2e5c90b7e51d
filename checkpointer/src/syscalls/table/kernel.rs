//! The system as a whole, and calls that are no longer there.

use syscalls::Sysno;

use crate::syscalls::row::Class::{Absent, Effect, Input, Refuse};
use crate::syscalls::row::Output::{Fixed, Result};
use crate::syscalls::row::{Row, numbered, row};

/// The rows.
pub const ROWS: &[Row] = &[
    row(Sysno::uname, Input).out(&[Fixed(0, 390)]),
    row(Sysno::sysinfo, Input).out(&[Fixed(0, 112)]),
    row(Sysno::syslog, Input).out(&[Result(1, 2)]),
    row(Sysno::sethostname, Effect),
    row(Sysno::setdomainname, Effect),
    row(Sysno::sysfs, Absent),
    row(Sysno::vhangup, Effect),
    row(Sysno::acct, Effect),
    row(Sysno::swapon, Effect),
    row(Sysno::swapoff, Effect),
    row(Sysno::reboot, Refuse),
    row(Sysno::iopl, Refuse),
    row(Sysno::ioperm, Refuse),
    row(Sysno::init_module, Refuse),
    row(Sysno::finit_module, Refuse),
    row(Sysno::delete_module, Refuse),
    row(Sysno::kexec_load, Refuse),
    row(Sysno::kexec_file_load, Refuse),
    row(Sysno::perf_event_open, Absent),
    row(Sysno::bpf, Absent),
    row(Sysno::add_key, Absent),
    row(Sysno::request_key, Absent),
    row(Sysno::keyctl, Absent),
    row(Sysno::landlock_create_ruleset, Absent),
    row(Sysno::landlock_add_rule, Absent),
    row(Sysno::landlock_restrict_self, Absent),
    row(Sysno::lsm_get_self_attr, Absent),
    row(Sysno::lsm_set_self_attr, Absent),
    row(Sysno::lsm_list_modules, Absent),
    // Made by the kernel's own trampolines only.
    numbered(335, "uretprobe", Absent),
    numbered(336, "uprobe", Absent),
    // Without an implementation in any kernel of today.
    row(Sysno::uselib, Absent),
    row(Sysno::_sysctl, Absent),
    row(Sysno::create_module, Absent),
    row(Sysno::get_kernel_syms, Absent),
    row(Sysno::query_module, Absent),
    row(Sysno::nfsservctl, Absent),
    row(Sysno::getpmsg, Absent),
    row(Sysno::putpmsg, Absent),
    row(Sysno::afs_syscall, Absent),
    row(Sysno::tuxcall, Absent),
    row(Sysno::security, Absent),
    row(Sysno::vserver, Absent),
];
