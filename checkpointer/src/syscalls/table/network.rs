//! Sockets, and the queues and semaphores of System V and POSIX.

use syscalls::Sysno;

use crate::syscalls::row::Class::{Descriptor, Effect, Input};
use crate::syscalls::row::Given::{self, Address, Bytes};
use crate::syscalls::row::Harmless::{Placeholder, Same};
use crate::syscalls::row::Output::{Fixed, Message, Messages, Result, ResultAnd, ValueResult};
use crate::syscalls::row::{Irregular, Row, row};

/// The rows.
pub const ROWS: &[Row] = &[
    row(Sysno::socket, Descriptor(Same)),
    row(Sysno::socketpair, Descriptor(Same)).out(&[Fixed(3, 8)]),
    row(Sysno::accept, Descriptor(Placeholder(None))).out(&[ValueResult(1, 2)]),
    row(Sysno::accept4, Descriptor(Placeholder(Some(3)))).out(&[ValueResult(1, 2)]),
    row(Sysno::bind, Effect).give(&[Address(1, 2)]),
    row(Sysno::listen, Effect),
    row(Sysno::connect, Effect).give(&[Address(1, 2)]),
    row(Sysno::shutdown, Effect),
    row(Sysno::getsockname, Input).out(&[ValueResult(1, 2)]),
    row(Sysno::getpeername, Input).out(&[ValueResult(1, 2)]),
    row(Sysno::getsockopt, Input).out(&[ValueResult(3, 4)]),
    row(Sysno::setsockopt, Effect).give(&[Bytes(3, 4)]),
    row(Sysno::sendto, Effect).give(&[Bytes(1, 2)]),
    row(Sysno::sendmsg, Effect).give(&[Given::Message(1)]),
    row(Sysno::sendmmsg, Effect).out(&[Messages(1)]),
    row(Sysno::recvfrom, Input).out(&[Result(1, 2), ValueResult(4, 5)]),
    row(Sysno::recvmsg, Input).out(&[Message(1)]).irregular(Irregular::Passed),
    row(Sysno::recvmmsg, Input).out(&[Messages(1), Fixed(4, 16)]).irregular(Irregular::Passed),
    row(Sysno::semget, Effect),
    row(Sysno::semop, Effect),
    row(Sysno::semtimedop, Effect),
    row(Sysno::semctl, Effect).irregular(Irregular::Semaphores),
    row(Sysno::msgget, Effect),
    row(Sysno::msgsnd, Effect),
    row(Sysno::msgrcv, Input).out(&[ResultAnd(1, 8)]),
    row(Sysno::msgctl, Effect).irregular(Irregular::Semaphores),
    row(Sysno::mq_open, Descriptor(Placeholder(Some(1)))),
    row(Sysno::mq_unlink, Effect),
    row(Sysno::mq_timedsend, Effect).give(&[Bytes(1, 2)]),
    row(Sysno::mq_timedreceive, Input).out(&[Result(1, 2), Fixed(3, 4)]),
    row(Sysno::mq_notify, Effect),
    row(Sysno::mq_getsetattr, Effect).out(&[Fixed(2, 64)]),
];
