"""A program on a terminal of its own, spoken to as a person would."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

SEQUENCES = re.compile(rb'\x1b\[[0-9;?]*[A-Za-z]|\r')


class Terminal:
    """A debugger at its prompt."""

    def __init__(self, argv, prompt=b'(Pdb) ', env=None):
        self.prompt = prompt
        begin = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(argv[0], argv, env or os.environ)
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', 50, 200, 0, 0))
        self.first = self.read(b'')
        self.started = time.perf_counter() - begin

    def read(self, since):
        """Until the prompt stands at the end, after a line has ended."""
        text = since
        while True:
            if not select.select([self.fd], [], [], 60)[0]:
                raise TimeoutError('no prompt for a minute: %r' % text[-300:])
            try:
                piece = os.read(self.fd, 65536)
            except OSError:
                piece = b''
            if not piece:
                raise EOFError('the program ended: %r' % text[-300:])
            text += piece
            shown = SEQUENCES.sub(b'', text[-400:])
            if shown.endswith(self.prompt) and b'\n' in text:
                return text.decode('utf-8', 'replace')

    def say(self, line):
        """Types a line; returns milliseconds to the next prompt, and what was shown."""
        begin = time.perf_counter()
        os.write(self.fd, line.encode() + b'\r')
        text = self.read(b'')
        return (time.perf_counter() - begin) * 1000, text

    def close(self):
        """Ends it, and what it has started: a gdbserver that has lost its gdb spins for ever."""
        below = descendants(self.pid)[1:]
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        os.waitpid(self.pid, 0)
        for one in below:
            try:
                os.kill(one, signal.SIGKILL)
            except ProcessLookupError:
                pass


def descendants(pid):
    """A process and all below it."""
    found = [pid]
    for task in os.listdir('/proc/%d/task' % pid):
        with open('/proc/%d/task/%s/children' % (pid, task)) as file:
            for child in file.read().split():
                try:
                    found += descendants(int(child))
                except OSError:
                    pass
    return found


def proportional(pid):
    """Bytes that a process and all below it take, shared pages divided among those that share them."""
    total = 0
    for one in descendants(pid):
        try:
            with open('/proc/%d/smaps_rollup' % one) as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith('Pss:'))
        except OSError:
            pass
    return total * 1024
