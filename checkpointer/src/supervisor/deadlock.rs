//! All threads of the recorded process wait, and only another of them could end that. Along the notes that is another execution than the
//! noted one; for the first time it is a deadlock, which is told once: a signal from outside may still end it.

use std::time::Instant;

use nix::unistd::Pid;

use super::Supervisor;
use super::tape::schedule::{Stand, Wait};
use super::tape::view;
use crate::raw;
use crate::record::deadlock::{self, PATIENCE, Waiting};
use crate::syscalls;
use crate::wire::Event;

/// Since when all threads wait.
#[derive(Debug, Clone, Copy)]
pub(in crate::supervisor) struct Deadlock {
    tick: u64,
    since: Instant,
    told: bool,
}

impl Supervisor {
    /// Nobody's turn has come: looks whether it ever will.
    pub(super) fn look_for_deadlock(&mut self, leader: Pid) {
        let tick = self.recording.schedule().tick;
        let known = self.recording.deadlock.take().filter(|known| known.tick == tick);
        if self.is_aside() || !self.all_wait() {
            return;
        }
        if !self.recording.is_live() {
            // Children do not run along the notes, and signals come where they are noted, which is not here.
            let waiting: Vec<String> = self.who_waits().iter().map(ToString::to_string).collect();
            return self.part("the turn of a thread", &format!("none, since all wait: {}", waiting.join("; ")));
        }
        let mut known = known.unwrap_or(Deadlock { tick, since: Instant::now(), told: false });
        if !known.told && known.since.elapsed() >= PATIENCE {
            known.told = true;
            if self.is_all_there_is(leader) {
                self.tell(Event::Deadlock(self.who_waits()));
            }
        }
        self.recording.deadlock = Some(known);
    }

    /// Whether every thread waits for another one, without a limit.
    fn all_wait(&mut self) -> bool {
        let threads = self.in_turn();
        let mut waiting = 0;
        for (tid, known) in threads {
            match self.recording.schedule().stand(known) {
                Stand::Gone => continue,
                Stand::Waits => {}
                _ => return false,
            }
            let endless = |wait: &Wait| wait.thread == known && wait.until.is_none();
            if !self.can_have_turn(tid) || !self.recording.schedule().waits().iter().any(endless) {
                return false;
            }
            waiting += 1;
        }
        waiting > 0
    }

    /// Whether nobody else could end that: no child, whose end is a signal, and no timer.
    fn is_all_there_is(&mut self, leader: Pid) -> bool {
        let others = self.live_processes().into_iter().any(|other| other != leader && Some(other) != self.main);
        !others && self.timers_of(leader, leader).is_some_and(|timers| timers.is_empty())
    }

    /// Who waits where.
    fn who_waits(&self) -> Vec<Waiting> {
        const FUTEX: u64 = libc::SYS_futex.cast_unsigned();
        let Some((leader, row)) = self.recorded_leader().zip(syscalls::find(FUTEX)) else { return Vec::new() };
        let threads: Vec<_> = self
            .recording
            .waits()
            .iter()
            .map(|wait| {
                let real = self.real_id(wait.thread);
                let mut thread = view(real, leader);
                (thread.id, thread.process) = (wait.thread, self.virtual_id(leader));
                (thread, [wait.address, 0, wait.value.into(), 0, 0, 0])
            })
            .collect();
        let calls: Vec<_> = threads.iter().map(|(thread, arguments)| (thread, row, *arguments)).collect();
        deadlock::describe(&calls, &|thread| {
            raw::registers(thread.tid).ok().map(|registers| (registers.rsp, registers.rip))
        })
    }
}
