//! System calls of a recorded process: noted when they are made for the first time, answered from the notes when not.

use std::hash::{Hash, Hasher};
use std::os::fd::AsFd;
use std::rc::Rc;

use nix::unistd::Pid;
use syscalls::Sysno;

use super::super::events::{is_ended_by_stops, signal_on_its_way};
use super::Supervisor;
use super::kinds::Kind;
use super::lent::Lent;
use super::line::{Asked, Entry, Found, Made, Rule, place};
use super::locks::is_about_locks;
use super::own_readings::is_own;
use super::relocated::places_now;
use super::schedule::{Cause, Stand};
use super::subject::{closes_on_exec, is_duplicate, is_of_contents, is_open, numbers_made, of_line_editor, reads_only};
use super::timers::changes_timers;
use crate::inject::injector::Injector;
use crate::ptrace::Change;
use crate::raw::{self, ClockMode, Registers};
use crate::record::recorder::life::{Ids, ids};
use crate::record::thread::{Thread, arguments};
use crate::record::{given, outputs};
use crate::syscalls::{self as table, Class, Irregular, Row, Shape};

/// The restart codes that the kernel leaves in rax when a call is interrupted (include/linux/errno.h).
pub(super) const RESTART_CODES: std::ops::RangeInclusive<i64> = -516..=-512;

/// What becomes of a call that a thread is about to make.
pub(in crate::supervisor) enum Taken {
    /// It is made, and nobody looks at it.
    Live,
    /// It is made, and looked at when it is done.
    Made,
    /// It is not made: the thread finds what it found then.
    Answered,
    /// The thread stands before it again.
    Again,
    /// The thread stands before it, and it has been seen to whose turn it is.
    Left,
}

/// A call that a thread has been let into.
#[derive(Debug)]
pub(in crate::supervisor) struct Pending {
    /// The thread is in the kernel with it; otherwise it was interrupted and may go on with it.
    pub(in crate::supervisor) inside: bool,
    pub(super) rip: u64,
    row: &'static Row,
    pub(super) shape: Shape,
    pub(super) asked: Asked,
    pub(super) capacities: Vec<u64>,
    /// It is noted.
    noted: bool,
    /// A file is opened again of which this is noted, and that it did not change.
    unchanged: Option<String>,
    /// The thread that it makes has been made before.
    again: Option<(usize, Rc<Entry>)>,
    effect: Option<Rc<str>>,
    /// The memory that it lends to a child.
    lent: Option<Lent>,
    /// It keeps nobody waiting.
    pub(in crate::supervisor) short: bool,
    makes_thread: bool,
}

impl Pending {
    /// Whether its end is looked at, and noted.
    pub(super) fn is_noted(&self) -> bool {
        self.noted
    }

    /// Whether it makes a process, and no thread.
    pub(super) fn makes_process(&self) -> bool {
        self.shape.class == Class::Process && !self.makes_thread
    }

    /// Whether it is made for the first time, and noted.
    pub(super) fn is_plain(&self) -> bool {
        self.noted && self.again.is_none() && self.unchanged.is_none()
    }
}

/// What is known of a call before it is looked up.
pub(super) struct Call {
    pub(super) row: &'static Row,
    shape: Shape,
    pub(super) arguments: [u64; 6],
    /// It opens a file by name, for reading.
    opens_to_read: bool,
    query: bool,
    /// What its descriptor stands for, where a number does not tell.
    about: Option<Rc<str>>,
    effect: Option<Rc<str>>,
    /// It keeps nobody waiting: it is about a file or a clock.
    short: bool,
}

impl Call {
    /// A futex that processes share; `None` if that has no row.
    pub(super) fn of_futex(registers: &Registers) -> Option<Call> {
        let row = table::find(registers.orig_rax)?;
        let arguments = arguments(registers);
        let shape = table::shape(row, &arguments);
        Some(Call {
            row,
            shape,
            arguments,
            opens_to_read: false,
            query: false,
            about: None,
            effect: None,
            short: false,
        })
    }
}

/// Where a call stands as to the notes.
enum Concern {
    /// None of theirs.
    Live,
    /// None of theirs, but it changes what descriptors stand for.
    Changes(Call),
    /// To be noted, or answered from them.
    Notes(Call),
    /// It prints on the terminal that is also the debugger's.
    Prints(Call),
    /// Cannot be noted.
    Refused(String),
}

pub(in crate::supervisor) fn view(tid: Pid, pid: Pid) -> Thread {
    Thread { id: tid.as_raw(), process: pid.as_raw(), tid, pid, stopped: None }
}

impl Supervisor {
    /// A thread stands before a trapped call.
    pub(in crate::supervisor) fn recorded_call(&mut self, tid: Pid, registers: &Registers) -> Taken {
        let Some(task) = self.tasks.get_mut(&tid) else { return Taken::Live };
        let pid = task.pid;
        if registers.orig_rax == Sysno::restart_syscall.id() as u64 {
            return match &mut task.pending {
                Some(pending) => {
                    pending.inside = true;
                    Taken::Made
                }
                None => Taken::Live,
            };
        }
        (task.pending, task.made) = (None, None);
        if !self.recording.on || self.recorded_leader() != Some(pid) {
            return Taken::Live;
        }
        if self.recording.is_lost() {
            return Taken::Left;
        }
        if let Some(taken) = self.turn_call(tid, pid, registers) {
            return taken;
        }
        if let Some(taken) = self.taken_from_records(tid, pid, registers) {
            return taken;
        }
        match self.concern(tid, pid, registers) {
            Concern::Live => Taken::Live,
            Concern::Changes(call) => self.let_in(tid, registers, call, None, None, None),
            Concern::Prints(call) => self.prints(tid, pid, registers, call),
            // What a debugger in the process asks, now more, now less, is no place at which a thread is left.
            Concern::Notes(call) if call.query && !self.recording.served => self.looked_up(tid, pid, registers, call),
            Concern::Notes(_) if !self.comes_to_call(tid, false) => Taken::Left,
            Concern::Notes(call) => {
                let taken = self.looked_up(tid, pid, registers, call);
                if matches!(taken, Taken::Answered) {
                    self.leaves_call(tid);
                }
                taken
            }
            Concern::Refused(why) => {
                self.stop_recording(&why);
                Taken::Live
            }
        }
    }

    /// A call has come to us. Where such calls of the recorded process follow each other closely, it and we go on one processor.
    pub(in crate::supervisor) fn count_call(&mut self, tid: Pid) {
        let pid = self.tasks.get(&tid).map(|task| task.pid);
        if let Some(pid) = pid.filter(|pid| self.recorded_leader() == Some(*pid))
            && self.recording.are_dense()
        {
            self.pin_process(pid);
        }
    }

    /// Whether a call that a thread is let into keeps nobody waiting, so that its end can be waited for at once.
    pub(in crate::supervisor) fn ends_at_once(&mut self, tid: Pid) -> bool {
        let Some(task) = self.tasks.get(&tid) else { return false };
        let short = task.pending.as_ref().is_some_and(|pending| pending.short);
        short && (!self.is_served(tid) || !self.steps(tid))
    }

    /// Reads the row with what is known of the process.
    fn concern(&mut self, tid: Pid, pid: Pid, registers: &Registers) -> Concern {
        let Some(row) = table::find(registers.orig_rax) else { return Concern::Live };
        tracing::trace!("{} {:#x}", row.name, registers.rdi);
        let mut arguments = arguments(registers);
        arguments[table::arity(row.name)..].fill(0);
        let shape = table::shape(row, &arguments);
        if shape.class == Class::Program {
            self.sync_clocks();
        }
        if row.local || matches!(shape.class, Class::Absent | Class::Internal | Class::Both | Class::Program) {
            return Concern::Live;
        }
        let aside = self.is_aside();
        if shape.class == Class::Refuse {
            return if aside { Concern::Live } else { Concern::Refused(format!("{} cannot be recorded", row.name)) };
        }
        let mut call =
            Call { row, shape, arguments, opens_to_read: false, query: false, about: None, effect: None, short: false };
        if is_duplicate(row, &call.shape) {
            return Concern::Changes(call);
        }
        let known = usize::try_from(registers.orig_rax).ok().and_then(Sysno::new);
        if let Some(waits @ (Sysno::select | Sysno::pselect6 | Sysno::poll | Sysno::ppoll)) = known
            && self.terminal_of(pid).is_looked_at_alone(pid, waits, registers)
        {
            return Concern::Live;
        }
        let thread = view(tid, pid);
        // With an empty path these ask about the descriptor (stat(2), AT_EMPTY_PATH): so does the C library's fstat.
        let by_descriptor =
            matches!(row.name, "newfstatat" | "statx") && thread.read(arguments[1], 1).first() == Some(&0);
        #[allow(clippy::cast_possible_truncation)]
        if let Some(index) = row.descriptor.or(by_descriptor.then_some(0)) {
            let number = arguments[usize::from(index)] as i32;
            match self.kind(pid, number) {
                None | Some(Kind::Client) => return Concern::Live,
                Some(Kind::Terminal(_)) => {
                    // What a served program prints has been shown; what it reads the client types again.
                    if !matches!(row.name, "write" | "writev") {
                        return Concern::Live;
                    }
                    if !self.recording.served {
                        return if aside || !self.recording.runs { Concern::Live } else { Concern::Prints(call) };
                    }
                }
                Some(Kind::Still) if is_of_contents(row, &call.shape) => return Concern::Live,
                // All but the time of the last access is always the same.
                Some(Kind::Still) if !self.recording.served && call.shape.class == Class::Input => {
                    return Concern::Live;
                }
                Some(Kind::Still) => call.short = true,
                Some(Kind::Noted { regular, name, .. }) => {
                    call.short = regular && !matches!(row.name, "flock" | "fcntl" | "ioctl");
                    call.query = regular && call.shape.class == Class::Input;
                    call.about = Some(Rc::clone(&name));
                    call.effect = (call.shape.class == Class::Effect).then_some(name);
                }
            }
        }
        if matches!(row.name, "time" | "gettimeofday") && !self.recording.served && of_line_editor(&thread, registers) {
            return Concern::Live;
        }
        if let Some(table::Given::Path(index)) = row.given.first().filter(|_| !by_descriptor) {
            let path = thread.text(arguments[usize::from(*index)]);
            call.opens_to_read = is_open(row) && reads_only(&thread, row, &arguments);
            call.query |= call.shape.class == Class::Input || call.opens_to_read;
            call.short = !is_open(row);
            let terminal = is_open(row) && (path == b"/dev/tty" || path.starts_with(b"/dev/pts/"));
            if path.starts_with(&self.recording.client) || terminal {
                return if is_open(row) { Concern::Changes(call) } else { Concern::Live };
            }
            if !call.query {
                call.effect = Some(format!("{} {}", row.name, String::from_utf8_lossy(&path)).into());
            }
        }
        const MONOTONIC: u64 = libc::CLOCK_MONOTONIC as u64;
        let reads_clock = row.name == "clock_gettime" && arguments[0] == MONOTONIC;
        if reads_clock && !self.recording.served && is_own(pid, registers) {
            return Concern::Live;
        }
        call.short |=
            matches!(row.name, "clock_gettime" | "gettimeofday" | "time" | "times" | "getrusage" | "getrandom");
        call.query |= row.name == "getcwd" || reads_clock;
        // A debugger in the process shows a socket with its addresses, as a value that is returned for example.
        call.query |= !self.recording.served && matches!(row.name, "getsockname" | "getpeername");
        match row.name {
            // Bytes of a sequence that a copy carries.
            "getrandom" if self.is_served(tid) => return Concern::Live,
            #[allow(clippy::cast_possible_truncation)]
            "kill" => {
                let target = arguments[0] as i32;
                if target <= 0 || self.real_id(target) == pid {
                    return Concern::Live;
                }
                call.effect = Some("kill".into());
            }
            "connect" | "sendto" | "sendmsg" | "sendmmsg" | "shutdown" => {
                call.effect = Some(format!("{} on a socket", row.name).into());
            }
            _ => {}
        }
        if call.shape.class == Class::Process {
            match ids(&thread, row, &arguments).thread {
                true => call.short = true,
                false => call.effect = Some("a child process".into()),
            }
        }
        if call.shape.class == Class::Process && !call.short || row.name == "sched_getaffinity" {
            // It would inherit that, or tell of it.
            self.unpin();
        }
        if !aside {
            return Concern::Notes(call);
        }
        let changes = matches!(call.shape.class, Class::Descriptor(_)) || row.irregular == Some(Irregular::Passed);
        if changes { Concern::Changes(call) } else { Concern::Live }
    }

    /// A thread has come to the end of its notes before others: where turns are chosen they come first, so that all that is noted has
    /// been done when what comes next is done for real.
    fn waits_for_others(&mut self, tid: Pid, known: i32) -> bool {
        if !self.recording.chooses_turns() || !self.others_can_go_on(known) || !self.back_out(tid) {
            return false;
        }
        self.recording.schedule().set(known, Stand::Held);
        self.next_turn(Cause::Call);
        true
    }

    /// What a call is known by in the notes.
    fn asked(&self, tid: Pid, pid: Pid, registers: &Registers, call: &Call) -> Asked {
        let mut given = given::digest(&view(tid, pid), call.row, &call.arguments);
        if let Some(name) = call.about.as_ref().filter(|_| self.recording.rule().is_shared() && call.query) {
            // A debugger's own files have the same numbers at other times.
            let mut sum = std::hash::DefaultHasher::new();
            name.hash(&mut sum);
            given ^= sum.finish();
        }
        #[allow(clippy::cast_possible_truncation)]
        let number = registers.orig_rax as u32;
        let sum = self.sum_of_call(tid, pid, number, &call.arguments);
        Asked { number, arguments: call.arguments, given, query: call.query, sum, about: call.about.clone() }
    }

    /// Looks a call up in the notes.
    pub(super) fn looked_up(&mut self, tid: Pid, pid: Pid, registers: &Registers, call: Call) -> Taken {
        let rule = self.recording.rule();
        let asked = self.asked(tid, pid, registers, &call);
        let known = self.virtual_id(tid);
        self.sync_clocks();
        loop {
            if self.recording.is_lost() {
                return Taken::Left;
            }
            let mark = &self.recording.mark;
            let at = place(&mark.at, known);
            let found = mark.line.borrow().find(known, at, place(&mark.into, known), &asked, rule);
            match found {
                Found::Same(index, entry) => return self.again(tid, pid, registers, call, index, &entry),
                Found::Record(index, end, record) => {
                    self.record_again(tid, *registers, &asked, &record);
                    self.advance_into(known, index, end);
                    return Taken::Answered;
                }
                Found::Unmatched => return self.let_in(tid, registers, call, None, None, None),
                Found::End if rule.is_shared() && asked.query && !mark.others_are_at_end(known) => {
                    return self.let_in(tid, registers, call, None, None, None);
                }
                Found::End if mark.is_early(known, rule) => {
                    if self.waits_for_others(tid, known) {
                        return Taken::Left;
                    }
                    self.part("nothing more of this thread", &asked.words());
                }
                // Nobody sees what comes behind the end, and so nothing is done there.
                Found::End if !self.recording.mark.live && !self.recording.heard => {
                    if asked.query {
                        return self.let_in(tid, registers, call, None, None, None);
                    }
                    self.part("the end of what is recorded", &asked.words());
                }
                Found::End => {
                    let end = self.recording.mark.line.borrow().end(known);
                    self.recording.mark.at.insert(known, end);
                    self.go_live();
                    if !asked.query {
                        self.recording.mark.reader.go_live();
                    }
                    if self.timers_come_first(pid, tid) {
                        return Taken::Again;
                    }
                    let ended = self.recording.mark.line.borrow().ended.clone();
                    if let Some(why) = ended {
                        self.stop_recording(&why);
                        return Taken::Live;
                    }
                    self.give_up_locks();
                    return self.let_in(tid, registers, call, Some(asked), None, None);
                }
                Found::Other(expected) => {
                    if !self.change_line(known, at, &asked, rule) {
                        self.part(&expected.asked.words(), &asked.words());
                    }
                }
            }
        }
    }

    /// Goes over to a line that has shared everything until here and has this call; false if there is none.
    fn change_line(&mut self, thread: i32, at: usize, asked: &Asked, rule: Rule) -> bool {
        let here = Rc::clone(&self.recording.mark.line);
        let into = place(&self.recording.mark.into, thread);
        let found = self.recording.lines.iter().filter(|other| !Rc::ptr_eq(other, &here)).find_map(|other| {
            let line = other.borrow();
            let shared = line.shares(&here.borrow(), &self.recording.mark.at);
            let (index, rest) = line.same_place(&here.borrow(), thread, at, into).filter(|_| shared)?;
            let found = line.find(thread, index, rest, asked, rule);
            matches!(found, Found::Same(..) | Found::Record(..)).then(|| (Rc::clone(other), index, rest))
        });
        let Some((other, index, rest)) = found else { return false };
        self.recording.mark.line = other;
        self.recording.mark.at.insert(thread, index);
        self.recording.mark.into.insert(thread, rest);
        self.recording.mark.loaded = None;
        true
    }

    /// Lets a thread make a call that is to be looked at when it is done.
    pub(super) fn let_in(
        &mut self,
        tid: Pid,
        registers: &Registers,
        call: Call,
        asked: Option<Asked>,
        unchanged: Option<String>,
        again: Option<(usize, Rc<Entry>)>,
    ) -> Taken {
        // What descriptors stand for may change.
        self.sync_clocks();
        let Some(task) = self.tasks.get_mut(&tid) else { return Taken::Live };
        let noted = asked.is_some();
        let maker = (call.shape.class == Class::Process).then_some(task.pid);
        let capacities = outputs::capacities(&view(tid, task.pid), &call.shape, &call.arguments);
        #[allow(clippy::cast_possible_truncation)]
        let asked = asked.unwrap_or(Asked {
            number: registers.orig_rax as u32,
            arguments: call.arguments,
            given: 0,
            query: call.query,
            sum: 0,
            about: None,
        });
        let pid = task.pid;
        let only = self.tasks.values().filter(|other| other.pid == pid).count() == 1;
        // Where addresses are the same each time, and nobody else writes there meanwhile.
        let lends = noted && maker.is_some() && only && self.recording.served && {
            let ids = ids(&view(tid, pid), call.row, &call.arguments);
            ids.memory && ids.lends && !ids.thread
        };
        let Some(task) = self.tasks.get_mut(&tid) else { return Taken::Live };
        task.pending = Some(Pending {
            inside: true,
            rip: registers.rip,
            row: call.row,
            shape: call.shape,
            asked,
            capacities,
            noted,
            unchanged,
            again,
            effect: call.effect,
            lent: lends.then(|| Lent::of(pid)),
            short: call.short,
            makes_thread: false,
        });
        if let Some(pid) = maker {
            // A process that it makes has the buffer, too; a thread gets it in its turn.
            let thread = ids(&view(tid, pid), call.row, &call.arguments).thread;
            if let Some(pending) = self.tasks.get_mut(&tid).and_then(|task| task.pending.as_mut()) {
                pending.makes_thread = thread;
            }
            if !thread {
                self.set_clock_mode(ClockMode::Plain);
            }
        }
        Taken::Made
    }

    /// A call that has been made before.
    fn again(
        &mut self,
        tid: Pid,
        pid: Pid,
        registers: &Registers,
        call: Call,
        index: usize,
        entry: &Rc<Entry>,
    ) -> Taken {
        let thread = view(tid, pid);
        let known = self.virtual_id(tid);
        if entry.locks.is_some() {
            self.recording.mark.locks.clone_from(&entry.locks);
        }
        if entry.timers.is_some() {
            self.recording.mark.timers.clone_from(&entry.timers);
        }
        if entry.signal.is_some() {
            self.leaves_call(tid);
            for (address, bytes) in places_now(&thread, &call.shape, &call.arguments, entry) {
                raw::write_remote(pid, address, &bytes);
            }
            self.advance(known, index + 1);
            self.interrupted_again(tid, registers, entry);
            return Taken::Left;
        }
        if call.shape.class == Class::Process && ids(&thread, call.row, &call.arguments).thread && entry.result > 0 {
            return self.let_in(tid, registers, call, None, None, Some((index, Rc::clone(entry))));
        }
        if entry.still {
            // Opened for real each time; whether it is as it was shows then. That takes as long as it takes: whose turn it was
            // meanwhile is noted.
            self.advance(known, index + 1);
            let call = Call { short: true, ..call };
            return self.let_in(tid, registers, call, None, Some(entry.asked.words()), None);
        }
        let given = self.tasks.get(&tid).is_some_and(|task| task.given == Some(index));
        let waits = self.taken_by(tid, entry);
        if (!entry.made.is_empty() || waits.is_some()) && !given {
            // Not from inside a call: the thread comes to it once more, with its descriptors there.
            if !self.back_out(tid) {
                return Taken::Again;
            }
            if let Some(number) = waits {
                self.take_off(tid, number);
            } else if let Err(error) = self.give(tid, pid, &entry.made) {
                self.stop_recording(&format!("a descriptor could not be given again: {error}"));
            }
            if let Some(task) = self.tasks.get_mut(&tid) {
                task.given = Some(index);
            }
            return Taken::Again;
        }
        if let Some(task) = self.tasks.get_mut(&tid) {
            task.given = None;
        }
        if entry.asked.number == Sysno::rt_sigtimedwait.id() as u32
            && let Ok(number) = i32::try_from(entry.result)
        {
            self.recording.mark.has_come(number);
        }
        self.answer_call(tid, *registers, entry.result);
        self.learns_of_child(pid, entry, call.shape.class == Class::Process);
        self.not_shown(tid, pid, &call, entry.result);
        for (address, bytes) in places_now(&thread, &call.shape, &call.arguments, entry) {
            if let Err(error) = thread.write(address, &bytes) {
                tracing::warn!("an output is not given again: {error}");
            }
        }
        self.advance(known, index + 1);
        Taken::Answered
    }

    fn give(&mut self, tid: Pid, pid: Pid, made: &[Made]) -> Result<(), crate::inject::InjectError> {
        let Some(counter) = &self.recording.counter else { return Ok(()) };
        // What the newest process had closed is used for nothing any more.
        let kept: Vec<_> = made.iter().map(|one| one.held.duplicate()).collect();
        let files = kept.iter().map(|file| file.as_ref().map_or(counter.nothing(), AsFd::as_fd));
        let gifts: Vec<_> = made.iter().zip(files).map(|(one, file)| (one.number, one.close_on_exec, file)).collect();
        let mut injector = Injector::borrow(pid, tid)?;
        counter.give(&mut injector, &gifts)?;
        injector.finish()?;
        for one in made {
            let (held, name) = (Rc::clone(&one.held), Rc::clone(&one.name));
            let kind = Kind::Noted { held, regular: one.regular, name, tries: one.tries };
            self.note_kind(pid, one.number, Some(kind));
        }
        Ok(())
    }

    /// A thread that may be in a call that is looked at has stopped.
    pub(in crate::supervisor) fn recorded_stop(&mut self, tid: Pid, what: Change) {
        self.stopped_printing(tid, what);
        let stays = matches!(
            what,
            Change::Seccomp | Change::Born | Change::VforkDone | Change::Exec | Change::Ending | Change::Other(_)
        );
        let Some(task) = self.tasks.get_mut(&tid) else { return };
        let Some(pending) = task.pending.as_mut().filter(|pending| pending.inside && !stays) else { return };
        let Ok(registers) = raw::registers(tid) else { return };
        let result = registers.rax.cast_signed();
        // Only our stop has ended it: it is made again ([`Supervisor::mend_interrupted`]).
        let by_us = what == Change::Interrupted && is_ended_by_stops(&registers) && !signal_on_its_way(tid);
        if registers.rip != pending.rip || RESTART_CODES.contains(&result) || by_us {
            pending.inside = false;
            return;
        }
        let pid = task.pid;
        if let Some(pending) = task.pending.take() {
            self.family_stands();
            self.leaves_call(tid);
            self.finished(tid, pid, registers, pending, result);
        }
    }

    fn finished(&mut self, tid: Pid, pid: Pid, mut registers: Registers, pending: Pending, result: i64) {
        if pending.shape.class == Class::Process {
            self.tune_clocks();
        }
        if !self.recording.on || self.recorded_leader() != Some(pid) {
            return;
        }
        let thread = view(tid, pid);
        let known = self.virtual_id(tid);
        if let Some((index, entry)) = pending.again {
            registers.rax = entry.result.cast_unsigned();
            raw::set_registers(tid, &registers).ok();
            self.advance(known, index + 1);
            return;
        }
        let Pending { row, shape, asked, capacities, ref lent, .. } = pending;
        let numbers =
            if result < 0 { Vec::new() } else { numbers_made(&thread, row, &shape, &asked.arguments, result) };
        for number in &numbers {
            self.note_kind(pid, *number, None);
        }
        if numbers.contains(&0)
            && let Err(error) = self.see_to_input(pid, tid)
        {
            tracing::warn!("reads of what has become the standard input are not noted: {error}");
        }
        if let Some(words) = pending.unchanged {
            let kinds: Vec<_> = numbers.iter().map(|number| self.kind(pid, *number)).collect();
            if !matches!(kinds[..], [Some(Kind::Still)]) {
                let why = if result < 0 { "fails" } else { "opens a file that has been changed since" };
                self.part(&words, &format!("the same, which {why}"));
            }
            return;
        }
        if !pending.noted {
            #[allow(clippy::cast_possible_truncation)]
            if is_duplicate(row, &shape)
                && let ([number], Some(kind)) =
                    (&numbers[..], self.recording.mark.kinds.get(&(asked.arguments[0] as i32)).cloned())
            {
                self.note_kind(pid, *number, Some(kind));
            }
            return;
        }
        if shape.must_fail && result >= 0 {
            return self.stop_recording(&format!("{} cannot be recorded where it succeeds", row.name));
        }
        let mut locks = None;
        #[allow(clippy::cast_possible_truncation)]
        if result >= 0 && is_about_locks(asked.number, &asked.arguments) {
            self.note_lock(pid, asked.arguments[0] as i32);
            locks = self.locks_change(pid);
        }
        #[allow(clippy::cast_possible_truncation)]
        if result >= 0 && matches!(row.name, "fcntl" | "ioctl" | "setsockopt") {
            self.look_at_flags(pid, asked.arguments[0] as i32);
        }
        let mut made = Vec::new();
        let mut still = false;
        for number in numbers {
            match self.kind(pid, number) {
                Some(Kind::Noted { held, regular, name, tries }) => {
                    let close_on_exec = closes_on_exec(pid, number);
                    made.push(Made { number, close_on_exec, held, regular, name, tries });
                }
                Some(Kind::Still) => still = true,
                _ if is_open(row) => return,
                _ => {}
            }
        }
        let mut ranges = outputs::ranges(&thread, &shape, &asked.arguments, &capacities, result);
        if shape.class == Class::Process {
            ranges.extend(ids(&thread, row, &asked.arguments).words().into_iter().map(|at| (at, 4)));
        }
        let written = ranges.iter().copied();
        self.recording.schedule().lands(known, written);
        let mut outputs = outputs::read(&thread, &ranges);
        outputs.extend(lent.iter().flat_map(|lent| lent.changes(pid)));
        let arguments = asked.arguments;
        #[allow(clippy::cast_possible_truncation)]
        if self.recording.served
            && matches!(self.recording.mark.kinds.get(&(arguments[0] as i32)), Some(Kind::Terminal(_)))
        {
            drop(self.recording.mark.reader.show());
        }
        let mut entry = Entry::new(asked, result, outputs, &self.recording.store);
        // One more is made for real; but what is noted is the program's.
        entry.asked.query &= row.name != "clock_gettime" || self.recording.rule() != Rule::Told;
        entry.made = made;
        entry.still = still;
        if result >= 0 {
            entry.effect = pending.effect;
        }
        entry.locks = locks;
        entry.timers = changes_timers(row).then(|| self.timers_of(pid, tid)).flatten();
        // A signal that comes now comes at a place with a name.
        let makes = matches!(shape.class, Class::Descriptor(_) | Class::Process);
        let may_be_missing = self.recording.rule().is_shared() && entry.asked.query;
        if let Some(task) = self.tasks.get_mut(&tid).filter(|_| !makes && !may_be_missing) {
            task.made = Some(registers);
        }
        #[allow(clippy::cast_possible_truncation)]
        if let Some(index) = row.descriptor
            && let Some(Kind::Noted { held, regular: true, .. }) =
                self.recording.mark.kinds.get(&(arguments[usize::from(index)] as i32))
        {
            entry.offsets.extend(held.offset().map(|at| (Rc::clone(held), at)));
        }
        self.push_entry(known, entry);
    }

    /// Notes something at the end.
    pub(super) fn push_entry(&mut self, known: i32, entry: Entry) {
        let end = {
            let mut line = self.recording.mark.line.borrow_mut();
            line.push(known, entry);
            // It has gone on since it was left.
            line.newest = None;
            line.contents = Vec::new();
            line.end(known)
        };
        self.recording.mark.at.insert(known, end);
        self.limit_notes();
    }

    /// A thread that was made before has been made again: it goes by the id that it had.
    pub(in crate::supervisor) fn recorded_birth(&mut self, parent: Pid, newborn: Pid) {
        let Some(task) = self.tasks.get(&parent) else { return };
        let Some(Pending { again: Some((_, entry)), row, asked, .. }) = &task.pending else { return };
        let Ok(id) = i32::try_from(entry.result) else { return };
        let thread = view(parent, task.pid);
        let Ids { parent: told, child, .. } = ids(&thread, row, &asked.arguments);
        for address in [told, child].into_iter().flatten() {
            thread.write(address, &id.to_ne_bytes()).ok();
        }
        self.virtual_ids.insert(newborn, id);
    }
}
