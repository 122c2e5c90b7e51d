"""Who the programs talk to: notes what it hears, a file for each connection or socket, and answers.

Its folder is the current one, the programs' is ../work. Prints its two ports when it is ready, and ends when its input does, after
it has taken what is still there to be read.
"""
import os
import random
import selectors
import socket
import sys

selector = selectors.DefaultSelector()


def note(name, text):
    with open('heard-' + name, 'a') as file:
        file.write(text + '\n')


class Listener:
    """Connections of a kind."""

    def __init__(self, kind, family, type_, address):
        self.kind, self.count = kind, 0
        self.socket = socket.socket(family, type_)
        self.socket.bind(address)
        self.socket.listen(20)
        selector.register(self.socket, selectors.EVENT_READ, self.accept)

    def accept(self):
        self.count += 1
        Connection('%s-%d' % (self.kind, self.count), self.kind, self.socket.accept()[0])


class Connection:
    """Somebody who says lines, or packets."""

    def __init__(self, name, kind, socket_):
        self.name, self.kind, self.socket, self.rest, self.heard = name, kind, socket_, b'', 0
        note(self.name, 'begins')
        selector.register(socket_, selectors.EVENT_READ, self.read)

    def read(self):
        files = []
        if self.kind == 'tcp':
            data = self.socket.recv(1000)
        else:
            data, files, _, _ = socket.recv_fds(self.socket, 1000, 4)
        if not data:
            note(self.name, 'ends')
            selector.unregister(self.socket)
            self.socket.close()
            return
        *lines, self.rest = (self.rest + data).split(b'\n')
        for line in lines:
            self.line(line.decode(), files)

    def line(self, line, files):
        self.heard += 1
        verb, _, argument = line.partition(' ')
        # A port is another one each time.
        note(self.name, verb if verb == 'call' else line)
        answer = 'answer %d' % self.heard
        if verb == 'take':
            os.write(files[0], b'the peer\'s\n')
            os.close(files[0])
        elif verb == 'give':
            file = os.open('../work/' + argument, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.write(file, b'by the peer\n')
            socket.send_fds(self.socket, [answer.encode()], [file])
            os.close(file)
            return
        elif verb == 'chance':
            answer = str(random.random())
        elif verb == 'call':
            back = socket.create_connection(('127.0.0.1', int(argument)))
            back.sendall(b'here I am')
            Connection('back-' + self.name, 'tcp', back)
        self.socket.sendall(answer.encode() + b'\n')


class Datagrams:
    """A socket to which anybody sends."""

    def __init__(self, kind, family, address):
        self.kind, self.heard = kind, 0
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(address)
        selector.register(self.socket, selectors.EVENT_READ, self.read)

    def read(self):
        data, sender = self.socket.recvfrom(1000)
        self.heard += 1
        note(self.kind, data.decode().strip())
        if sender:
            self.socket.sendto(b'answer %d\n' % self.heard, sender)


def turn(timeout):
    ready = selector.select(timeout)
    for key, _ in ready:
        key.data()
    return ready


def ends():
    global running
    running = False


tcp = Listener('tcp', socket.AF_INET, socket.SOCK_STREAM, ('127.0.0.1', 0))
udp = Datagrams('udp', socket.AF_INET, ('127.0.0.1', 0))
Listener('stream', socket.AF_UNIX, socket.SOCK_STREAM, 'stream')
Listener('packets', socket.AF_UNIX, socket.SOCK_SEQPACKET, 'packets')
Datagrams('datagrams', socket.AF_UNIX, 'datagrams')
running = True
selector.register(sys.stdin, selectors.EVENT_READ, ends)
print(tcp.socket.getsockname()[1], udp.socket.getsockname()[1], flush=True)
while running:
    turn(None)
selector.unregister(sys.stdin)
while turn(0):
    pass
