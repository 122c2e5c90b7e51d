"""Tells fred of stops from inside gdb, as records of gdb's machine format on a terminal of their own.

As long as nobody asks more than that, this stands in for a second interface (`new-ui mi2`), whose echo of every stop is
written a character at a time: hundreds of calls where this makes one. `open` opens that interface and ends this, `close` does the
reverse.
"""

import os
import sys

import gdb

WATCHPOINTS = {
    getattr(gdb, name, None)
    for name in ("BP_WATCHPOINT", "BP_HARDWARE_WATCHPOINT", "BP_READ_WATCHPOINT", "BP_ACCESS_WATCHPOINT")
}


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def logs():
    try:
        return gdb.parameter("logging enabled")
    except RuntimeError:
        # Before gdb 12 there is nothing to be asked.
        return False


class Hook:
    def __init__(self, path):
        self.path = path
        # Descriptors of interfaces that gdb has given up without closing them.
        self.left = []
        # Whether the program was let go since the last stop, and whether that has been told.
        self.ran = False
        self.told = False
        # Whether it has stopped since the last prompt.
        self.moved = False
        # Whether gdb's own editor is on.
        self.edits = True
        # Functions of the program that are being called for an expression.
        self.calls = 0
        events = gdb.events
        self.handlers = [(events.cont, self.resumed), (events.stop, self.stopped), (events.exited, self.exited)]
        self.handlers.append((events.inferior_call, self.called))
        self.begin()
        events.before_prompt.connect(self.prompts)
        # Whether gdb's own editor is off because of us; not known before the first prompt, when the user's files have been read.
        self.plain = None
        self.write("=fred-ready\n")

    def write(self, text):
        rest = text.encode("utf-8", "surrogateescape")
        while rest:
            rest = rest[os.write(self.out, rest):]

    def resumed(self, _):
        if not self.calls:
            self.ran = True

    def called(self, event):
        self.calls += 1 if isinstance(event, gdb.InferiorCallPreEvent) else -1

    def running(self):
        """What is to be told of the program having been let go."""
        if not self.ran or self.told:
            return ""
        self.told = True
        return '*running,thread-id="all"\n'

    def prompts(self):
        self.calls = 0
        text = self.running()
        if text:
            self.write(text)
        if self.plain is None:
            self.settle()
        # Looking takes as long as all the rest, and a command that lets the program go does not begin a log.
        elif self.plain and not self.moved:
            self.edit(logs())
        self.moved = False

    def begin(self):
        self.out = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        for registry, handler in self.handlers:
            registry.connect(handler)

    def settle(self):
        """Lines are edited at fred's prompt. gdb's own editor takes three calls for each character of a line, and sets the
        modes of the terminal four times a command."""
        # Of the current interface: the parameter is not what it shows.
        self.plain = " is on" in gdb.execute("show editing", to_string=True)
        if self.plain:
            self.edit(False)
        # Two packets less for each breakpoint at every stop; in memory they are only while the program runs.
        gdb.execute("set breakpoint always-inserted on")

    def edit(self, edits):
        """gdb's prompt is part of a log if it does not edit: while one is written, it does."""
        if self.edits != edits:
            self.edits = edits
            gdb.execute("set editing " + ("on" if edits else "off"))

    def stopped(self, event):
        text = self.running() + "*stopped" + self.reason(event)
        try:
            frame = gdb.selected_frame()
            where = frame.find_sal()
            name = frame.name()
            parts = []
            if name:
                parts.append("func=" + quoted(name))
            if where.symtab:
                parts.append(f'fullname={quoted(where.symtab.fullname())},line="{where.line}"')
            text += ",frame={" + ",".join(parts) + "}"
        except gdb.error:
            pass
        thread = gdb.selected_thread()
        if thread is not None:
            text += f',thread-id="{thread.global_num}"'
        self.write(text + "\n")
        self.ran = self.told = False
        self.moved = True

    def reason(self, event):
        if isinstance(event, gdb.BreakpointEvent):
            watches = any(one.type in WATCHPOINTS for one in event.breakpoints)
            return ',reason="watchpoint-trigger"' if watches else ',reason="breakpoint-hit"'
        if isinstance(event, gdb.SignalEvent):
            return ',reason="signal-received",signal-name=' + quoted(event.stop_signal)
        return ',reason="end-stepping-range"'

    def exited(self, event):
        # One that is killed at a stop ends, too, and is no news.
        if not self.ran:
            return
        code = getattr(event, "exit_code", None)
        text = self.running()
        if code is None:
            text += '*stopped,reason="exited-signalled"\n'
        elif code == 0:
            text += '*stopped,reason="exited-normally"\n'
        else:
            text += f'*stopped,reason="exited",exit-code="0{code:o}"\n'
        self.write(text)
        self.ran = self.told = False

    def open(self):
        self.forget()
        for registry, handler in self.handlers:
            registry.disconnect(handler)
        os.close(self.out)
        self.ran = False
        gdb.execute("new-ui mi2 " + self.path)

    def close(self):
        """gdb deletes an interface whose terminal reports an error, as a pipe does that nobody reads. A copy of gdb may have
        the same terminal open, so that itself cannot be closed."""
        self.forget()
        reading, writing = os.pipe()
        os.close(reading)
        for name in os.listdir("/proc/self/fd"):
            try:
                ours = os.readlink("/proc/self/fd/" + name) == self.path
            except OSError:
                continue
            if ours:
                os.dup2(writing, int(name), inheritable=False)
                self.left.append(int(name))
        os.close(writing)
        self.ran = self.told = False
        self.begin()

    def forget(self):
        for one in self.left:
            os.close(one)
        self.left = []

    def program(self, token):
        """The executable of the current inferior: the last column of its row."""
        rows = gdb.execute("info inferiors", to_string=True).splitlines()
        at = rows[0].find("Executable") if rows else -1
        current = [row for row in rows if row.startswith("*")]
        name = current[0][at:].strip() if at >= 0 and current else ""
        group = "executable=" + quoted(name) if name else ""
        self.write(f"{token}^done,groups=[{{{group}}}]\n")

    def tell(self, token, line):
        try:
            text = gdb.execute(line, to_string=True)
        except gdb.error as why:
            self.write(f"{token}^error,msg={quoted(str(why))}\n")
            return
        self.write(f"~{quoted(text)}\n{token}^done\n")


sys.modules["fred_hook"] = Hook(CHANNEL)
