//! Whatever comes over the socket, the server answers or refuses, and neither panics nor allocates without bound.

use std::collections::BTreeMap;

use fred_checkpointer::rsp::Server;
use fred_checkpointer::rsp::packet::{LARGEST, frame};
use fred_checkpointer::rsp::target::{Action, Caught, Errno, Kind, Program, Stop, Target, ThreadRegisters, Tid, Why};
use proptest::prelude::*;

/// A program that is not there: one page of memory, two threads.
#[derive(Default)]
struct MadeUp {
    memory: BTreeMap<u64, u8>,
    child: Option<(Tid, bool)>,
    there: bool,
    inserted: usize,
}

const PID: Tid = 100;
const BASE: u64 = 0x1000;

impl Target for MadeUp {
    fn launch(&mut self, _: &Program) -> Result<(), String> {
        Err("nothing can be started here".to_owned())
    }
    fn attach(&mut self, pid: i32) -> Result<(), String> {
        Err(format!("there is no process {pid}"))
    }
    fn detach(&mut self) -> Result<(), String> {
        self.there = false;
        Ok(())
    }
    fn kill(&mut self) {
        self.there = false;
    }
    fn tell_forks(&mut self, _: bool) {}
    fn child(&self) -> Option<(Tid, bool)> {
        self.child
    }
    fn let_child_go(&mut self) {
        self.child = None;
    }
    fn follow_child(&mut self) -> Result<(), String> {
        self.child.take().map(|_| ()).ok_or_else(|| "no child".to_owned())
    }
    fn kill_child(&mut self) {
        self.child = None;
    }
    fn process(&self) -> Option<i32> {
        self.there.then_some(PID)
    }
    fn real_process(&self) -> Option<i32> {
        None
    }
    fn threads(&self) -> Vec<Tid> {
        if self.there { vec![PID, PID + 1] } else { Vec::new() }
    }
    fn thread_name(&self, tid: Tid) -> Option<String> {
        self.threads().contains(&tid).then(|| "<&\"'>".to_owned())
    }
    fn registers(&mut self, _: Tid) -> Result<ThreadRegisters, Errno> {
        Err(libc::ESRCH)
    }
    fn set_registers(&mut self, _: Tid, _: &ThreadRegisters) -> Result<(), Errno> {
        Err(libc::ESRCH)
    }
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        assert!(buffer.len() <= LARGEST, "{} bytes were made room for", buffer.len());
        if !(BASE..BASE + 4096).contains(&address) {
            return Err(libc::EFAULT);
        }
        let length = buffer.len().min(usize::try_from(BASE + 4096 - address).expect("a page"));
        for (at, byte) in (address..).zip(&mut buffer[..length]) {
            *byte = self.memory.get(&at).copied().unwrap_or(0);
        }
        Ok(length)
    }
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        for (index, byte) in bytes.iter().enumerate() {
            let at =
                address.checked_add(index as u64).filter(|at| (BASE..BASE + 4096).contains(at)).ok_or(libc::EFAULT)?;
            self.memory.insert(at, *byte);
        }
        Ok(())
    }
    fn insert(&mut self, _: Kind, _: u64, length: u64) -> Result<(), Errno> {
        if length > 8 {
            return Err(libc::EINVAL);
        }
        self.inserted += 1;
        Ok(())
    }
    fn remove(&mut self, _: Kind, _: u64, _: u64) -> Result<(), Errno> {
        Ok(())
    }
    fn resume(&mut self, actions: &[Action]) -> Result<(), String> {
        let known = |action: &Action| action.thread.is_none_or(|tid| self.threads().contains(&tid));
        if actions.iter().any(known) { Ok(()) } else { Err("none of the threads is there".to_owned()) }
    }
    fn interrupt(&mut self, _: i32) {}
    fn signal_information(&mut self, _: Tid) -> Result<Vec<u8>, Errno> {
        Err(libc::EINVAL)
    }
    fn set_signal_information(&mut self, _: Tid, _: &[u8]) -> Result<(), Errno> {
        Err(libc::EINVAL)
    }
    fn pass_signals(&mut self, _: &[i32]) {}
    fn catch(&mut self, _: Caught) {}
    fn thread_pointer(&mut self, _: Tid) -> Result<u64, Errno> {
        Err(libc::ESRCH)
    }
    fn conditions(&mut self, _: u64, _: Vec<Vec<u8>>) {}

    fn allocate(&mut self, size: u64, _: u64) -> Result<u64, i32> {
        if size > 1 << 20 { Err(libc::ENOMEM) } else { Ok(0x10_0000) }
    }

    fn deallocate(&mut self, _: u64) -> Result<(), i32> {
        Err(libc::EINVAL)
    }

    fn debugger(&self) -> Option<i32> {
        None
    }
}

fn there() -> MadeUp {
    MadeUp { there: true, ..MadeUp::default() }
}

/// Packets of a stream of the server's: what stands between `$` and `#`.
fn packets(bytes: &[u8]) -> Vec<&[u8]> {
    let starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'$').map(|(at, _)| at + 1);
    starts.map(|at| bytes[at..].split(|byte| *byte == b'#').next().unwrap_or(b"")).collect()
}

/// The one answer to a packet; `None` if a stop reply is still to come.
fn answer(server: &mut Server, target: &mut MadeUp, packet: &[u8]) -> Option<Vec<u8>> {
    let said = server.receive(&frame(packet), target);
    assert_eq!(said.first(), Some(&b'+'), "a packet that is whole is acknowledged");
    let answers = packets(&said);
    assert!(answers.len() <= 1, "{said:?}");
    assert!(said.len() <= 2 * LARGEST, "{} bytes", said.len());
    answers.first().map(|answer| answer.to_vec())
}

/// Starts of packets that mean something, so that what follows is reached.
fn beginning() -> impl Strategy<Value = String> {
    let known = [
        "m",
        "M",
        "X",
        "x",
        "g",
        "G",
        "p",
        "P",
        "Z0,",
        "z1,",
        "Z2,",
        "Z9,",
        "H",
        "Hg",
        "Hcp64.",
        "T",
        "vCont;",
        "vCont;c:",
        "vRun;",
        "vAttach;",
        "vKill;",
        "vFile:open:",
        "vFile:pread:",
        "vFile:readlink:",
        "vFile:",
        "qXfer:features:read:target.xml:",
        "qXfer:siginfo:write::",
        "qXfer:threads:read::",
        "qXfer:",
        "qSupported:",
        "QPassSignals:",
        "QCatchSyscalls:",
        "QEnvironmentHexEncoded:",
        "QSetWorkingDir:",
        "qGetTLSAddr:",
        "qThreadExtraInfo,",
        "D",
        "D;",
        "c",
        "s",
        "C",
        "S",
        "R",
        "k",
        "?",
        "!",
        "qC",
        "qfThreadInfo",
        "vCont?",
        "QThreadSuffixSupported",
        "QListThreadsInStopReply",
        "QEnvironment:",
        "QSetSTDIN:",
        "QSaveRegisterState",
        "QRestoreRegisterState:",
        "qMemoryRegionInfo:",
        "qThreadStopInfo",
        "qProcessInfo",
        "jThreadsInfo",
        "_M",
        "_m",
        "A",
        "",
    ];
    prop::sample::select(known.to_vec()).prop_map(str::to_owned)
}

/// Words of the kind that packets are made of, and numbers at the edges.
fn rest() -> impl Strategy<Value = Vec<u8>> {
    let edge = prop::sample::select(vec![
        "0",
        "1",
        "-1",
        "p64.64",
        "p-1.-1",
        "p64.",
        "p",
        ".",
        "1000",
        "1000,4",
        "1000,8000000000000000",
        "ffffffffffffffff,ffffffffffffffff",
        "8000000000000000,1",
        "1000,4:00112233",
        "1000,5:0011",
        "1000,ffffffffffffffff:",
        ":",
        ";",
        ",",
        "=",
        "c",
        "C0b",
        "r1000,1004",
        "r",
        "s:64",
        "c:p64.ffffffff",
        "zz",
        "0*~",
        "}",
        "12345678901234567890",
    ]);
    let word = prop_oneof![edge.prop_map(|word| word.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 0..12)];
    prop::collection::vec(word, 0..5).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_packet_is_answered(packets in prop::collection::vec((beginning(), rest()), 1..20)) {
        let (mut server, mut target) = (Server::new(), there());
        for (start, rest) in packets {
            let packet = [start.as_bytes(), &rest].concat();
            // Files are the system's own, and this is not the place to change them.
            prop_assume!(!packet.starts_with(b"vFile:open") && !packet.starts_with(b"vFile:unlink"));
            let was_running = server.is_running();
            let said = answer(&mut server, &mut target, &packet);
            // `k` has no answer; everything else has one, or a stop reply is owed.
            prop_assert!(said.is_some() || server.is_running() || packet.starts_with(b"k") || packet.starts_with(b"R"), "{packet:?}");
            if server.is_running() {
                prop_assert!(was_running || said.is_none(), "{packet:?}");
                target.there = true;
                let stop = Stop::Thread { tid: PID, why: Why::Stepped };
                prop_assert!(server.stopped(&stop, &mut target).starts_with(b"$T05"));
            }
            target.there = true;
        }
    }

    #[test]
    fn any_bytes_leave_it_able_to_answer(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        let (mut server, mut target) = (Server::new(), there());
        server.receive(&bytes, &mut target);
        if server.is_running() {
            server.stopped(&Stop::Thread { tid: PID, why: Why::Stepped }, &mut target);
        }
        target.there = true;
        // Whatever was begun is ended by a packet of its own, and the next is taken.
        server.receive(&frame(b"!"), &mut target);
        server.receive(&frame(b"!"), &mut target);
        let said = server.receive(&frame(b"qC"), &mut target);
        prop_assert!(packets(&said).iter().any(|said| said.starts_with(b"QC")), "{said:?}");
    }

    #[test]
    fn a_wrong_checksum_changes_nothing(rest in rest(), wrong in 1u8..) {
        let (mut server, mut target) = (Server::new(), there());
        let mut packet = frame(&[b"M1000,1:", rest.as_slice()].concat());
        let sum = packet.len() - 2;
        let right = u8::from_str_radix(std::str::from_utf8(&packet[sum..]).expect("digits"), 16).expect("digits");
        packet.truncate(sum);
        packet.extend(format!("{:02x}", right.wrapping_add(wrong)).bytes());
        prop_assert_eq!(server.receive(&packet, &mut target), b"-");
        prop_assert!(target.memory.is_empty());
    }
}

#[test]
fn lengths_are_not_believed() {
    let (mut server, mut target) = (Server::new(), there());
    let mut said = |packet: &str| {
        answer(&mut server, &mut target, packet.as_bytes()).map(|said| String::from_utf8_lossy(&said).into_owned())
    };
    assert_eq!(said("m1000,8000000000000000").map(|said| said.len()), Some(2 * 4096));
    assert_eq!(said("m1ffe,ffffffffffffffff").as_deref(), Some("0000"));
    assert_eq!(said("m8000000000000000,4").as_deref(), Some("E0e"));
    assert_eq!(said("X1000,5:abc").as_deref(), Some("E16"));
    assert_eq!(said("M1000,2:0011223344").as_deref(), Some("E16"));
    assert_eq!(said("vCont;c:7777").as_deref(), Some("E01"));
    assert_eq!(said("Z9,1000,1").as_deref(), Some(""));
    assert_eq!(said("Z2,1000,ffffffffffffffff").as_deref(), Some("E16"));
    assert_eq!(said("p8000000000000000").as_deref(), Some("E03"));
}

#[test]
fn a_packet_without_end_is_not_kept() {
    let (mut server, mut target) = (Server::new(), there());
    let endless = vec![b'a'; 4 * LARGEST];
    server.receive(b"$m", &mut target);
    for _ in 0..16 {
        assert!(server.receive(&endless, &mut target).is_empty());
    }
    assert_eq!(server.receive(b"#00", &mut target), b"-");
    assert_eq!(answer(&mut server, &mut target, b"qC").as_deref(), Some(&b"QC64"[..]));
}

#[test]
fn a_child_that_is_held_is_let_go_or_followed() {
    let (mut server, mut target) = (Server::new(), there());
    answer(&mut server, &mut target, b"qSupported:multiprocess+;fork-events+;vfork-events+;exec-events+");
    target.child = Some((200, false));
    assert_eq!(answer(&mut server, &mut target, b"Hgpc8.c8").as_deref(), Some(&b"OK"[..]));
    assert_eq!(answer(&mut server, &mut target, b"Z0,1000,1").as_deref(), Some(&b"OK"[..]));
    assert_eq!(target.inserted, 0, "its memory is its own");
    assert_eq!(answer(&mut server, &mut target, b"D;c8").as_deref(), Some(&b"OK"[..]));
    assert!(target.child.is_none() && target.there);
    assert_eq!(answer(&mut server, &mut target, b"Z0,1000,1").as_deref(), Some(&b"OK"[..]));
    assert_eq!(target.inserted, 1);
    target.child = Some((201, false));
    assert_eq!(answer(&mut server, &mut target, b"D;64").as_deref(), Some(&b"OK"[..]));
    assert!(target.child.is_none() && target.there, "the child was followed");
}
