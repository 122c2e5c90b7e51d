//! Packets by which the program is started, let go, left and followed.

use super::{Reply, Server, error, ok, text, unknown};
use crate::rsp::packet::{number, pair, unhex};
use crate::rsp::target::{Action, Motion, Stop, Target};

impl Server {
    /// The process that a packet names, if it names one.
    pub(super) fn process_of(text: &[u8]) -> Option<i32> {
        let text = text.strip_prefix(b"p")?;
        let end = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
        number(&text[..end]).and_then(|pid| i32::try_from(pid).ok())
    }

    /// `D;PID`: the program is let go, or the child; the program rather than the child is what following means.
    pub(super) fn detach(&mut self, rest: &[u8], target: &mut dyn Target) -> Reply {
        let named = rest.strip_prefix(b";").and_then(number).and_then(|pid| i32::try_from(pid).ok());
        let child = target.child().map(|(child, _)| child);
        let done = match named {
            Some(pid) if Some(pid) == child => {
                target.let_child_go();
                Ok(())
            }
            Some(pid) if child.is_some() && Some(pid) == target.process() => self.follow(target),
            // One that was left behind when its child was followed.
            Some(pid) if target.process().is_some_and(|process| process != pid) => Ok(()),
            _ => target.detach(),
        };
        self.at_child = false;
        match done {
            Ok(()) => ok(),
            Err(why) => self.refuse(&why),
        }
    }

    fn follow(&mut self, target: &mut dyn Target) -> Result<(), String> {
        target.follow_child()?;
        self.at_child = false;
        self.general = target.process();
        self.resumed = None;
        Ok(())
    }

    pub(super) fn legacy_resume(
        &mut self,
        step: bool,
        at: &[u8],
        signal: Option<i32>,
        target: &mut dyn Target,
    ) -> Reply {
        let tid = self.resumed.filter(|tid| target.threads().contains(tid)).unwrap_or_else(|| self.current(target));
        if !at.is_empty() {
            let Some(address) = number(at) else { return error(libc::EINVAL) };
            match target.registers(tid) {
                Ok(mut found) => {
                    found.general.rip = address;
                    if let Err(number) = target.set_registers(tid, &found) {
                        return error(number);
                    }
                }
                Err(number) => return error(number),
            }
        }
        let motion = if step { Motion::Step } else { Motion::Continue };
        let mut actions = vec![Action { thread: Some(tid), motion, signal }];
        if !step {
            actions.push(Action { thread: None, motion: Motion::Continue, signal: None });
        }
        self.resume(&actions, target)
    }

    fn resume(&mut self, actions: &[Action], target: &mut dyn Target) -> Reply {
        if target.process().is_none() {
            return error(libc::ESRCH);
        }
        self.running = true;
        match target.resume(actions) {
            Ok(()) => Reply::Later,
            Err(why) => {
                self.running = false;
                self.refuse(&why)
            }
        }
    }

    pub(in crate::rsp) fn launch(&mut self, target: &mut dyn Target) {
        self.running = true;
        self.starting = true;
        self.attached = false;
        self.general = None;
        self.resumed = None;
        if let Err(why) = target.launch(&self.program.clone()) {
            self.last = Some(Stop::Failed(why));
        }
    }

    pub(super) fn verbose(&mut self, data: &[u8], target: &mut dyn Target) -> Reply {
        let (name, rest) = match data.iter().position(|byte| matches!(byte, b';' | b':')) {
            Some(at) => (&data[..at], &data[at + 1..]),
            None => (data, &b""[..]),
        };
        match name {
            b"vCont?" => text("vCont;c;C;s;S;t;r"),
            b"vCont" if self.at_child && self.goes_to_child(rest, target) => match self.follow(target) {
                Ok(()) => self.verbose(data, target),
                Err(why) => self.refuse(&why),
            },
            b"vCont" => match self.actions(rest) {
                Some(actions) => self.resume(&actions, target),
                None => error(libc::EINVAL),
            },
            b"vRun" => {
                let mut words = rest.split(|byte| *byte == b';').map(unhex);
                let path = words.next().flatten().unwrap_or_default();
                let Some(arguments) = words.collect::<Option<Vec<Vec<u8>>>>() else { return error(libc::EINVAL) };
                if !path.is_empty() {
                    self.program.path = path;
                }
                if self.program.path.is_empty() {
                    return self.refuse("no program was named; `file PROGRAM' names one");
                }
                self.program.arguments = arguments;
                self.launch(target);
                self.starting_failed(target)
            }
            b"vAttach" => {
                let Some(pid) = number(rest).and_then(|pid| i32::try_from(pid).ok()) else {
                    return error(libc::EINVAL);
                };
                self.running = true;
                self.starting = true;
                self.attached = true;
                match target.attach(pid) {
                    Ok(()) => Reply::Later,
                    Err(why) => {
                        self.running = false;
                        self.starting = false;
                        self.refuse(&why)
                    }
                }
            }
            b"vKill" => {
                let child = target.child().and_then(|(child, _)| u64::try_from(child).ok());
                match child.filter(|_| number(rest) == child) {
                    Some(_) => target.kill_child(),
                    None => target.kill(),
                }
                ok()
            }
            b"vCtrlC" => ok(),
            b"vFile" => self.files.packet(rest, target.process(), target.real_process()),
            _ => unknown(),
        }
    }

    /// Whether all that is let go is of the child: the program waits for it after a vfork.
    fn goes_to_child(&self, rest: &[u8], target: &dyn Target) -> bool {
        let child = target.child().filter(|(_, vfork)| *vfork).map(|(child, _)| child);
        child.is_some()
            && rest.split(|byte| *byte == b';').all(|action| {
                let thread = action.iter().position(|byte| *byte == b':').map(|at| &action[at + 1..]);
                thread.and_then(Server::process_of) == child
            })
    }

    /// A launch that could not even be tried is answered at once.
    pub(in crate::rsp) fn starting_failed(&mut self, _: &mut dyn Target) -> Reply {
        match self.last.take() {
            Some(Stop::Failed(why)) => {
                self.running = false;
                self.starting = false;
                self.refuse(&why)
            }
            _ => Reply::Later,
        }
    }

    fn actions(&self, rest: &[u8]) -> Option<Vec<Action>> {
        rest.split(|byte| *byte == b';')
            .map(|action| {
                let (what, thread) = match action.iter().position(|byte| *byte == b':') {
                    Some(at) => (&action[..at], self.thread_of(&action[at + 1..])),
                    None => (action, None),
                };
                let signal = || self.signal_of(u8::try_from(number(what.get(1..3)?)?).ok()?);
                let (motion, signal) = match what.first()? {
                    b'c' => (Motion::Continue, None),
                    b's' => (Motion::Step, None),
                    b'C' => (Motion::Continue, Some(signal()?)),
                    b'S' => (Motion::Step, Some(signal()?)),
                    b'r' => {
                        let (start, end) = pair(what.get(1..)?)?;
                        (Motion::Range { start, end }, None)
                    }
                    _ => return None,
                };
                Some(Action { thread, motion, signal: signal.filter(|signal| *signal != 0) })
            })
            .collect()
    }
}
