//! What a row of the table is made of.

use syscalls::Sysno;

/// What the supervisor of a session does when a trapped call is about to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// Answer with the thread's or the process's own virtual id.
    OwnId,
    /// Replace the virtual id in this argument by the real one.
    IdArgument(u8),
    /// kill(2): a virtual id, a group or everybody.
    Kill,
    /// tgkill and rt_tgsigqueueinfo: two virtual ids.
    ThreadKill,
    /// wait4 and waitid: children that ended before a checkpoint are answered from its list.
    Wait,
    /// May block at a read of the terminal.
    TerminalRead,
    /// Sets the terminal's modes.
    TerminalModes,
    /// Notes that memory is marked as not to be inherited by fork.
    ForkAdvice,
    /// Notes that memory is locked.
    Locked,
    /// Remembers the path of an inotify watch.
    WatchPath,
    /// Random bytes: a served program gets the same ones when it is run again.
    Random,
    /// Maps a file that shows what others write to it.
    SharedMapping,
}

/// A condition on one argument: `argument & mask == value` (as 64 bits).
#[derive(Debug, Clone, Copy)]
pub struct When {
    /// Index of the argument, from 0.
    pub argument: u8,
    /// Bits looked at.
    pub mask: u64,
    /// What they must be.
    pub value: u64,
    /// Whether the comparison must fail instead.
    pub not: bool,
}

/// The argument has this value.
pub const fn is(argument: u8, value: u64) -> When {
    When { argument, mask: u64::MAX, value, not: false }
}

/// The argument's lower half has this value.
pub const fn low(argument: u8, value: u32) -> When {
    When { argument, mask: 0xffff_ffff, value: value as u64, not: false }
}

/// The argument has another value.
pub const fn not(argument: u8, value: u64) -> When {
    When { argument, mask: u64::MAX, value, not: true }
}

/// The argument's lower half has another value.
pub const fn low_not(argument: u8, value: u32) -> When {
    When { argument, mask: 0xffff_ffff, value: value as u64, not: true }
}

/// None of these bits of the argument is set.
pub const fn clear(argument: u8, bits: u64) -> When {
    When { argument, mask: bits, value: 0, not: false }
}

/// This bit of the argument is set.
pub const fn set(argument: u8, bit: u64) -> When {
    When { argument, mask: bit, value: bit, not: false }
}

/// A trap in sessions.
#[derive(Debug, Clone, Copy)]
pub struct Trap {
    /// Trapped only if all of these hold.
    pub when: &'static [When],
    /// What is done then.
    pub special: Special,
}

/// How a call that makes descriptors is executed when a recording is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harmless {
    /// As it is: what it makes is nobody else's concern until it is used, and it is not used.
    Same,
    /// /dev/null is opened in its place; the argument with this index has O_CLOEXEC or not.
    Placeholder(Option<u8>),
}

/// What recording and replay do with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Concerns the process alone and gives the same result each time: not trapped, executed when recorded and when replayed.
    Internal,
    /// Executed both times; what it must give when replayed is what it gave when recorded.
    Both,
    /// What it tells comes from outside: executed when recorded; its result and outputs are given back on replay.
    Input,
    /// Changes something outside: executed once, when recorded; on replay what went out is compared, and its result is given back.
    Effect,
    /// Makes descriptors: on replay made in a harmless form, so that numbers stay right.
    Descriptor(Harmless),
    /// Makes a process or thread: executed both times; the ids are those of the recording.
    Process,
    /// Loads a program: executed both times.
    Program,
    /// The program is told that the kernel does not have it (ENOSYS).
    Absent,
    /// The recording stops and names it.
    Refuse,
}

/// Where a call writes. Pointers that are null are not written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// So many bytes at the pointer in the argument.
    Fixed(u8, usize),
    /// The same, even if the call fails.
    Always(u8, usize),
    /// As many bytes as the result says, but at most what the second argument says.
    Result(u8, u8),
    /// As many bytes as the result says, and this many more.
    ResultAnd(u8, usize),
    /// As many items of this size as the result says.
    Items(u8, usize),
    /// As many items of this size as another argument says.
    Array(u8, usize, u8),
    /// As many bytes as another argument says.
    Whole(u8, u8),
    /// A byte for each page of a range whose length is another argument.
    Pages(u8, u8),
    /// As many bits as another argument says.
    Bits(u8, u8),
    /// A buffer whose length is at a second pointer, before the call and after it (`socklen_t`).
    ValueResult(u8, u8),
    /// An array of `struct iovec` and its length; the result is distributed over it.
    Vector(u8, u8),
    /// A `struct msghdr`.
    Message(u8),
    /// An array of `struct mmsghdr`; the result says how many.
    Messages(u8),
    /// The three sets of select, sized by the first argument.
    Sets,
    /// A `struct ifconf`, and what it points to.
    Interfaces(u8),
}

/// What goes out with a call: it is compared on replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Given {
    /// A buffer and the argument with its length.
    Bytes(u8, u8),
    /// A `struct sockaddr` and the argument with its length.
    Address(u8, u8),
    /// A path.
    Path(u8),
    /// An array of `struct iovec` and its length.
    Vector(u8, u8),
    /// A `struct msghdr`.
    Message(u8),
}

/// Calls whose class or outputs depend on their arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Irregular {
    /// The request decides.
    Ioctl,
    /// The command decides.
    Fcntl,
    /// Maps a file.
    Map,
    /// The operation decides which words the kernel changes.
    Futex,
    /// The option decides.
    Prctl,
    /// The flags are in a structure.
    OpenHow,
    /// Descriptors may come with the message.
    Passed,
    /// The command decides.
    Semaphores,
    /// It goes on with an interrupted call.
    Restart,
    /// It may only fail: after a success the recording stops.
    MustFail,
}

/// One row: a system call.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: &'static str,
    /// When it is trapped in sessions, and why.
    pub session: &'static [Trap],
    /// What recording and replay do with it.
    pub class: Class,
    /// A recording traps it only if all of these hold; otherwise it is internal.
    pub when: &'static [When],
    /// Where it writes.
    pub outputs: &'static [Output],
    /// What goes out with it.
    pub given: &'static [Given],
    /// Set if more must be known.
    pub irregular: Option<Irregular>,
    /// What it concerns is carried by a fork, or made again each time: sessions do not record it.
    pub local: bool,
    /// Threads take turns at it: sessions that record trap it although it is local.
    pub turns: bool,
    /// The kernel does things behind the program's back: sessions that record do without it, too.
    pub unseen: bool,
    /// The argument that is the descriptor which it reads, writes or asks about.
    pub descriptor: Option<u8>,
    /// Where a debugger lives in the recorded process, it is trapped only if one of these holds: its line editor makes the call for
    /// each key. Empty: always.
    pub shared: &'static [&'static [When]],
}

/// A row for a call.
pub const fn row(call: Sysno, class: Class) -> Row {
    #[allow(clippy::cast_sign_loss)]
    numbered(call.id() as u32, call.name(), class)
}

/// A row for a call that the crate `syscalls` does not know yet.
pub const fn numbered(number: u32, name: &'static str, class: Class) -> Row {
    Row {
        number,
        name,
        session: &[],
        class,
        when: &[],
        outputs: &[],
        given: &[],
        irregular: None,
        local: false,
        turns: false,
        unseen: false,
        descriptor: None,
        shared: &[],
    }
}

impl Row {
    /// With traps in sessions.
    pub const fn session(mut self, traps: &'static [Trap]) -> Row {
        self.session = traps;
        self
    }

    /// Internal unless all of these hold.
    pub const fn when(mut self, when: &'static [When]) -> Row {
        self.when = when;
        self
    }

    /// With outputs.
    pub const fn out(mut self, outputs: &'static [Output]) -> Row {
        self.outputs = outputs;
        self
    }

    /// With what goes out.
    pub const fn give(mut self, given: &'static [Given]) -> Row {
        self.given = given;
        self
    }

    /// Not recorded in sessions: it concerns the process alone.
    pub const fn local(mut self) -> Row {
        self.local = true;
        self
    }

    /// Threads take turns at it.
    pub const fn turns(mut self) -> Row {
        self.turns = true;
        self
    }

    /// Answered with ENOSYS in sessions that record, too.
    pub const fn unseen(mut self) -> Row {
        self.unseen = true;
        self
    }

    /// It works on the descriptor in its first argument.
    pub const fn on_descriptor(mut self) -> Row {
        self.descriptor = Some(0);
        self
    }

    /// Trapped where a debugger lives in the recorded process only if one of these holds.
    pub const fn shared(mut self, when: &'static [&'static [When]]) -> Row {
        self.shared = when;
        self
    }

    /// With an irregularity.
    pub const fn irregular(mut self, irregular: Irregular) -> Row {
        self.irregular = Some(irregular);
        self
    }
}

/// A trap without a condition.
pub const fn always(special: Special) -> Trap {
    Trap { when: &[], special }
}

/// A trap under conditions.
pub const fn on(when: &'static [When], special: Special) -> Trap {
    Trap { when, special }
}
