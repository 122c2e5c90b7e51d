"""Answers fred's questions inside lldb, on a thread that reads them from a terminal of their own.

A question is a line of JSON with an "id" and what to "do"; the answer is a line of JSON with the same id. Nothing here
leaves a trace at the user's prompt: commands stay out of the history, values out of the `$0`, `$1`, ... list.
"""

import json
import os
import re
import signal
import threading

import lldb

MOST_CHILDREN = 2000
DEEPEST = 8
# A variable, and a way into it.
PATH = re.compile(r"([A-Za-z_]\w*)((?:\.\w+|->\w+|\[\d+\])*)")


class Refused(Exception):
    """lldb said no, in these words."""


def text_of(value, depth=0):
    """A value in one line: scalars as lldb prints them, aggregates in braces."""
    shown, summary = value.GetValue(), value.GetSummary()
    if shown is not None:
        return shown if summary is None else f"{shown} {summary}"
    count = value.GetNumChildren(MOST_CHILDREN)
    if count == 0 or depth == DEEPEST:
        return summary if summary is not None else "{...}"
    if value.GetTypeName() and "basic_string" in value.GetTypeName() and summary is not None:
        return summary
    parts = []
    for index in range(min(count, MOST_CHILDREN)):
        child = value.GetChildAtIndex(index)
        parts.append(f"{child.GetName() or ''} = {text_of(child, depth + 1)}")
    inside = "{" + ", ".join(parts) + "}"
    return inside if summary is None else f"{summary} {inside}"


def path_of(spec):
    name = spec.GetFilename()
    if not name:
        return None
    folder = spec.GetDirectory()
    return os.path.join(folder, name) if folder else name


class Helper:
    def __init__(self, debugger):
        self.debugger = debugger
        self.interpreter = debugger.GetCommandInterpreter()
        self.seen = None
        # Whether it may remember the inlined calls of another stop.
        self.remembers = False

    # What there is.

    def target(self):
        return self.debugger.GetSelectedTarget()

    def process(self):
        process = self.target().GetProcess()
        if not process.IsValid() or process.GetState() != lldb.eStateStopped:
            raise Refused("no process is stopped")
        return process

    def thread(self):
        return self.process().GetSelectedThread()

    def frames(self, thread, most):
        """Frames from the innermost to main."""
        found = []
        for index in range(min(most, thread.GetNumFrames())):
            frame = thread.GetFrameAtIndex(index)
            found.append(frame)
            if frame.GetFunctionName() == "main":
                break
        return found

    def fact(self, frame):
        entry = frame.GetLineEntry()
        return {
            "level": frame.GetFrameID(),
            "pc": frame.GetPC(),
            "function": frame.GetFunctionName(),
            "file": path_of(entry.GetFileSpec()) if entry.IsValid() else None,
            "line": entry.GetLine() or None if entry.IsValid() else None,
        }

    # Where it stands.

    def mark(self, process):
        return (process.GetUniqueID(), process.GetStopID(), process.GetState())

    def stop(self, process):
        state = process.GetState()
        if state == lldb.eStateExited:
            told = {"reason": "exited", "exit_code": process.GetExitStatus()}
            why = process.GetExitDescription()
            if why:
                told = {"reason": "exited", "signal": why}
            return told
        if state != lldb.eStateStopped:
            return None
        thread = process.GetSelectedThread()
        told = {"reason": "step", "thread": thread.GetIndexID()}
        reason = thread.GetStopReason()
        if reason == lldb.eStopReasonBreakpoint:
            told["reason"] = "breakpoint"
        elif reason == lldb.eStopReasonWatchpoint:
            told["reason"] = "watchpoint"
        elif reason == lldb.eStopReasonException:
            told["reason"] = "exception"
        elif reason == lldb.eStopReasonSignal:
            number = thread.GetStopReasonDataAtIndex(0)
            name = process.GetUnixSignals().GetSignalAsCString(number)
            if name in ("SIGINT", "SIGSTOP"):
                told["reason"] = "interrupt"
            else:
                told.update(reason="signal", signal=name)
        told.update(self.fact(thread.GetFrameAtIndex(0)))
        return told

    def do_fresh(self, _):
        # Commands return when the program has stopped.
        self.debugger.SetAsync(False)
        process = self.target().GetProcess()
        if not process.IsValid():
            self.seen = None
            return {"stop": None, "moved": False}
        mark = self.mark(process)
        if mark == self.seen:
            return {"stop": None, "moved": False}
        self.seen = mark
        return {"stop": self.stop(process), "moved": True}

    def went(self, command):
        self.debugger.SetAsync(False)
        self.process()
        shown = self.run(command)
        process = self.target().GetProcess()
        self.seen = self.mark(process)
        if process.GetState() == lldb.eStateStopped:
            self.remembers = self.remembers or self.begins_inlined(process.GetSelectedThread().GetFrameAtIndex(0))
        return {"stop": self.stop(process), "shown": shown}

    def begins_inlined(self, frame):
        """Whether inlined calls begin right where a frame stands."""
        block = frame.GetPCAddress().GetBlock()
        block = block if block.IsInlined() else block.GetContainingInlinedBlock()
        starts = (block.GetRangeStartAddress(index) for index in range(block.GetNumRanges()))
        return any(start == frame.GetPCAddress() for start in starts)

    def enter_inlined(self, went):
        """After a stop by which a program was exchanged: has lldb enter what it enters there, and no less.

        With the last stack that it has unwound to its end lldb keeps the instruction, and how many of the inlined calls that begin
        there it had entered. That is not looked up again when it comes to the same instruction, unless it has unwound a stack with
        another one meanwhile. In a plain session it was elsewhere in between, and usually has.
        """
        thread = self.thread()
        frame = thread.GetFrameAtIndex(0)
        if not self.begins_inlined(frame):
            if self.remembers:
                thread.GetNumFrames()
            self.remembers = False
            return went
        before, pc = frame.GetFunctionName(), frame.GetPC()
        frame.SetPC(pc + 1)
        thread.GetNumFrames()
        thread.GetFrameAtIndex(0).SetPC(pc)
        self.remembers = True
        if thread.GetFrameAtIndex(0).GetFunctionName() == before:
            return went
        return {"stop": self.stop(self.process()), "shown": self.run("process status")}

    def do_step(self, _):
        return self.went("thread step-in")

    def do_step_instruction(self, _):
        went = self.went("thread step-inst")
        # lldb means to go on with a step that a signal has ended, such as the one by which a program is exchanged, the next time that the
        # program goes on from there: it would stop after one instruction.
        process = self.target().GetProcess()
        if process.GetState() == lldb.eStateStopped and self.thread().GetStopReason() == lldb.eStopReasonSignal:
            try:
                self.run("thread plan discard 1")
            except Refused:
                pass
            went = self.enter_inlined(went)
        return went

    def do_finish(self, _):
        return self.went("thread step-out")

    def do_continue(self, _):
        went = self.went("process continue")
        # That it was let go is not for the user, whose command was another.
        went["shown"] = re.sub(r"\AProcess \d+ resuming\n", "", went["shown"])
        return went

    # What is asked.

    def run(self, command):
        result = lldb.SBCommandReturnObject()
        self.interpreter.HandleCommand(command, result, False)
        if not result.Succeeded():
            raise Refused((result.GetError() or "it failed without a word").strip())
        return result.GetOutput() or ""

    def do_tell(self, question):
        return {"text": self.run(question["line"])}

    def do_evaluate(self, question):
        frame = self.thread().GetFrameAtIndex(question["frame"])
        expression = question["expression"]
        value = self.variable(frame, expression)
        if value is None:
            options = lldb.SBExpressionOptions()
            options.SetSuppressPersistentResult(True)
            options.SetIgnoreBreakpoints(True)
            options.SetUnwindOnError(True)
            value = frame.EvaluateExpression(expression, options)
        error = value.GetError()
        if error.Fail():
            lines = [line for line in (error.GetCString() or "").splitlines() if line.strip()]
            words = [line for line in lines if "error:" in line] or lines or ["it cannot be evaluated"]
            raise Refused(words[-1].split("error:")[-1].strip())
        return {"text": text_of(value)}

    def variable(self, frame, expression):
        """The value of a variable or a part of one, without the expression evaluator, which is slower; None if it is more."""
        found = PATH.fullmatch(expression.strip())
        if not found:
            return None
        value = frame.FindVariable(found[1])
        if not value.IsValid():
            value = self.target().FindFirstGlobalVariable(found[1])
        if value.IsValid() and found[2]:
            value = value.GetValueForExpressionPath(found[2])
        return value if value.IsValid() and not value.GetError().Fail() else None

    def do_frames(self, question):
        return {"frames": [self.fact(frame) for frame in self.frames(self.thread(), question["most"])]}

    def do_depth(self, _):
        return {"number": len(self.frames(self.thread(), 1 << 30))}

    def do_selected(self, _):
        return {"frames": [self.fact(self.thread().GetSelectedFrame())]}

    def do_names(self, question):
        frame = self.thread().GetFrameAtIndex(question["frame"])
        return {"names": [variable.GetName() for variable in frame.GetVariables(True, True, False, True)]}

    def do_breakpoints(self, _):
        target = self.target()
        found = []
        for one in target.breakpoint_iter():
            commands = lldb.SBStringList()
            one.GetCommandLineCommands(commands)
            limited = one.GetThreadID() != lldb.LLDB_INVALID_THREAD_ID or one.GetThreadIndex() != 0xFFFFFFFF
            locations = [one.GetLocationAtIndex(index) for index in range(one.GetNumLocations())]
            conditions = [where.GetCondition() for where in locations] + [one.GetCondition()]
            condition = next((condition for condition in conditions if condition), None)
            found.append({
                "number": str(one.GetID()),
                "plain": True,
                "enabled": one.IsEnabled(),
                "addresses": [where.GetLoadAddress() for where in locations if where.IsEnabled() and where.IsResolved()],
                "conditional": bool(condition or limited),
                "condition": condition,
                "ignored": one.GetIgnoreCount(),
                "once": one.IsOneShot(),
                "commands": [commands.GetStringAtIndex(index) for index in range(commands.GetSize())],
                "goes_on": one.GetAutoContinue(),
            })
        for index in range(target.GetNumWatchpoints()):
            one = target.GetWatchpointAtIndex(index)
            found.append({"number": f"w{one.GetID()}", "plain": False, "enabled": one.IsEnabled(), "addresses": [],
                          "conditional": True, "condition": None, "ignored": 0, "once": False, "commands": [],
                          "goes_on": False})
        return {"breakpoints": found}

    def do_program(self, _):
        target = self.target()
        process = target.GetProcess()
        lives = process.IsValid() and process.GetState() not in (lldb.eStateExited, lldb.eStateDetached)
        return {"executable": path_of(target.GetExecutable()), "process": process.GetProcessID() if lives else None}

    def do_prompt(self, _):
        return {"text": self.debugger.GetPrompt()}

    def do_debug_folders(self, _):
        folders = [value for value in self.setting("target.debug-file-search-paths") if value]
        if self.setting("symbols.enable-external-lookup") != ["false"]:
            folders.append("/usr/lib/debug")
        return {"text": ":".join(folders)}

    def setting(self, name):
        values = lldb.SBDebugger.GetInternalVariableValue(name, self.debugger.GetInstanceName())
        return [values.GetStringAtIndex(index) for index in range(values.GetSize())]

    def do_complete(self, question):
        line = question["line"]
        matches = lldb.SBStringList()
        self.interpreter.HandleCompletion(line, len(line), 0, -1, matches)
        return {"names": [matches.GetStringAtIndex(index) for index in range(1, matches.GetSize())]}

    def answer(self, question):
        try:
            return getattr(self, "do_" + question["do"])(question)
        except Refused as why:
            return {"refused": str(why)}
        except Exception as why:
            return {"refused": f"{type(why).__name__}: {why}"}

    def serve(self, channel):
        # Signals are for the thread at the prompt.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        pending = b""
        while True:
            chunk = os.read(channel, 1 << 16)
            if not chunk:
                return
            pending += chunk
            while b"\n" in pending:
                line, pending = pending.split(b"\n", 1)
                question = json.loads(line)
                reply = {"id": question["id"], **self.answer(question)}
                write(channel, reply)


def write(channel, reply):
    rest = json.dumps(reply).encode() + b"\n"
    while rest:
        rest = rest[os.write(channel, rest):]


def start(debugger, session):
    settings = {
        # The program has a terminal of its own, and lldb need not pass on what it reads and writes.
        "target.input-path": session["terminal"],
        "target.output-path": session["terminal"],
        "target.error-path": session["terminal"],
    }
    helper = Helper(debugger)
    for name, value in settings.items():
        if not any(helper.setting(name)):
            helper.run(f"settings set {name} {value}")
    # What fred has put there is not for the program.
    helper.run("settings append target.unset-env-vars LLDB_DEBUGSERVER_PATH")
    helper.run(f"settings set term-width {session['columns']}")
    try:
        helper.run("settings set show-progress false")
    except Refused:
        pass
    if session["unattended"]:
        helper.run("settings set auto-confirm true")
    channel = os.open(session["channel"], os.O_RDWR | os.O_NOCTTY)
    write(channel, {"ready": True})
    threading.Thread(target=helper.serve, args=(channel,), daemon=True).start()


start(lldb.debugger, SESSION)
