"""What fred runs inside a copy of a process that waits at a pdb prompt. CPython 3.6 to 3.13.

Executed in a dict of its own, which holds `ask` and `answer`: the paths of the request and of the reply. It imports no
module that the debugger has not imported, and after a request is done nothing of it is reachable from the program.

The clock: stop number k after a prompt is the k-th stop that typing `step` at every prompt would make. While a pass
runs, lean trace functions stand in for `Pdb.trace_dispatch` on the frames that it traces, and on those that it does
not trace now but `step` would have; an event at which the debugger might stop goes to the debugger's own dispatch.
Four methods of the Pdb class are wrapped for the time of a pass, because `breakpoint()` and `debug` make instances.
"""
import sys

Bdb = sys.modules['bdb'].Bdb
Breakpoint = sys.modules['bdb'].Breakpoint
GENERATOR = sys.modules['bdb'].GENERATOR_AND_COROUTINE_FLAGS
RUNNERS = (Bdb.run.__code__, Bdb.runeval.__code__, Bdb.runcall.__code__)
# Names that a stopped debugger leaves in namespaces: they depend on how the stop was reached.
MARKS = ('__return__', '__exception__', '__pdb_convenience_variables', '__warningregistry__', '__builtins__')
REPR_LIMIT = 4000
LAP = (1 << 30) - 1  # the greatest int of one digit: arithmetic on longer ones is slower


# --- requests and replies ---------------------------------------------------------------------------------------

def encode(value):
    """JSON text of a value made of None, bool, int, str, list and dict."""
    if value is None:
        return 'null'
    if value is True:
        return 'true'
    if value is False:
        return 'false'
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, str):
        return '"' + value.translate(ESCAPES) + '"'
    if isinstance(value, dict):
        return '{' + ','.join([encode(str(k)) + ':' + encode(v) for k, v in value.items()]) + '}'
    return '[' + ','.join([encode(v) for v in value]) + ']'


ESCAPES = {i: '\\u%04x' % i for i in range(32)}
ESCAPES[34] = '\\"'
ESCAPES[92] = '\\\\'


def open_file(path, mode):
    return sys.modules['io'].open(path, mode)


def read_request():
    with open_file(ask, 'rb') as file:
        text = file.read().decode('utf-8')
    # JSON as serde writes it is a Python expression but for three names.
    return eval(text, {'null': None, 'true': True, 'false': False, '__builtins__': {}})


def write_reply(fields):
    fields['seq'] = request['seq']
    fields.setdefault('ok', True)
    fields.setdefault('error', None)
    with open_file(answer, 'wb') as file:
        file.write(encode(fields).encode('utf-8', 'backslashreplace'))


def describe(error):
    return '%s: %s' % (type(error).__name__, error)


# --- where the program is ---------------------------------------------------------------------------------------

def active():
    """The Pdb instance at whose prompt this runs, the event that it stopped at, and the frame."""
    pdb = None
    frame = sys._getframe()
    while frame is not None:
        code = frame.f_code
        if code.co_varnames[:1] == ('self',):
            if pdb is None:
                if code.co_name == 'cmdloop':
                    it = frame.f_locals.get('self')
                    if isinstance(it, Bdb):
                        pdb = it
            elif code.co_name == 'interaction' and frame.f_locals.get('frame') is None:
                return pdb, 'post-mortem', None
            elif code.co_name == 'trace_dispatch':
                local = frame.f_locals
                return pdb, local['event'], local['frame']
        frame = frame.f_back
    return pdb, None, None


def program_frames(frame):
    """The program's frames from `frame` outwards, without what runs the debugger below it."""
    frames = []
    while frame is not None and frame.f_code not in RUNNERS:
        frames.append(frame)
        frame = frame.f_back
    if frame is not None and frames and frames[-1].f_code.co_filename == '<string>':
        frames.pop()
    return frames


def dead_frames(pdb):
    """The same for a post-mortem prompt."""
    frames = []
    for frame, _ in reversed(pdb.stack):
        if frame.f_code in RUNNERS:
            break
        frames.append(frame)
    else:
        return frames
    if frames and frames[-1].f_code.co_filename == '<string>':
        frames.pop()
    return frames


def depth_of(frame):
    """len(program_frames(frame)) without making a list."""
    depth = 0
    last = None
    while frame is not None:
        if frame.f_code in RUNNERS:
            if last is not None and last.f_code.co_filename == '<string>':
                depth -= 1
            break
        depth += 1
        last = frame
        frame = frame.f_back
    return depth


def thread_number():
    """1 for the main thread, the others in the order of their identifiers."""
    threading = sys.modules.get('threading')
    if threading is None:
        return 1
    me = threading.get_ident()
    main = threading.main_thread().ident
    if me == main:
        return 1
    return 2 + sorted([i for i in sys._current_frames() if i != main]).index(me)


def beginning():
    """The threads that have been started and have not run yet."""
    return list(getattr(sys.modules.get('threading'), '_limbo', {}))


def other_threads():
    """Their names."""
    names = getattr(sys.modules.get('threading'), '_active', {})
    me = sys.modules['_thread'].get_ident()
    running = [getattr(names.get(ident), 'name', None) or 'thread %d' % ident
               for ident in sys._current_frames() if ident != me]
    return running + [thread.name for thread in beginning()]


def facts(pdb, event, frame):
    if frame is None:
        if not pdb.stack:
            return None
        frame, line = pdb.stack[-1]
        depth = len(dead_frames(pdb))
    else:
        line = frame.f_lineno
        depth = depth_of(frame)
    code = frame.f_code
    caller = None
    if event == 'return' and depth > 1:
        # What is executed from here to the next stop is the rest of the caller's statement.
        outer = frame.f_back
        caller = {'file': pdb.canonic(outer.f_code.co_filename), 'line': outer.f_lineno,
                  'function': outer.f_code.co_name}
    return {'file': pdb.canonic(code.co_filename), 'line': line, 'function': code.co_name, 'depth': depth,
            'event': event, 'thread': thread_number(), 'others': other_threads(),
            'firstlineno': code.co_firstlineno, 'caller': caller, 'selected': scope_name(pdb, pdb.curframe or frame),
            'own': code.co_filename in OWN_FILES}


def scope_name(pdb, frame):
    code = frame.f_code
    return {'file': pdb.canonic(code.co_filename), 'function': code.co_name, 'firstlineno': code.co_firstlineno}


# --- passes ------------------------------------------------------------------------------------------------------

def pdb_class(pdb):
    """The class that the session's Pdb instances share."""
    found = type(pdb)
    for cls in type(pdb).__mro__:
        if 'interaction' in cls.__dict__:
            found = cls
    return found


def break_lines(code, filename, lines):
    """The lines of `code` at which Bdb.break_here has something to decide; None: all of them."""
    hot = {line for _, line in sys.modules['dis'].findlinestarts(code)}.intersection(lines)
    hot = set(hot)
    for line in lines:
        for bp in Breakpoint.bplist.get((filename, line), ()):
            if bp.funcname and bp.funcname == code.co_name and (
                    code.co_firstlineno == line or line in hot):
                if not bp.func_first_executable_line:
                    return None
                hot.add(bp.func_first_executable_line)
    return hot


def compile_conditions():
    """Lets bdb.effective evaluate code instead of text, which it would compile at every hit. Returns what to put back."""
    changed = []
    for bp in Breakpoint.bpbynumber:
        if bp and bp.cond and isinstance(bp.cond, str):
            try:
                code = compile(bp.cond.lstrip(' \t'), '<string>', 'eval')
            except (SyntaxError, ValueError):
                continue  # bdb stops there, as it does when the evaluation fails
            changed.append((bp, bp.cond))
            bp.cond = code
    return changed


class Pass:
    """What every pass does: stand in for the debugger's tracing, notice stops, and put everything back.

    A kind of pass supplies `quiet` and `enter` (trace functions of a frame and of the thread), `pick` (the trace
    function for a frame that the debugger traces), `unseen` (those that stand where the debugger has none), `add`
    (count a stop that no trace function of ours saw), `leaving` and `prompting` (below), and `retire`.
    """

    def __init__(self, pdb, frame):
        self.pdb = self.at = pdb
        self.dead = frame is None
        self.installed = self.native = self.done = self.inside = self.between = False
        # Ids of frames that `step` would trace although the debugger does not. Valid only while no program code runs.
        self.clocked = set()
        while frame is not None:
            if frame.f_trace is not None:
                self.clocked.add(id(frame))
            frame = frame.f_back
        self.hooked = []
        base = pdb_class(pdb)
        for name in ('setup', 'preloop', 'postcmd'):
            self.hooked.append((base, name, base.__dict__.get(name)))
            setattr(base, name, getattr(self, 'hooked_' + name)(getattr(base, name)))

    # A stop begins with `setup`; a prompt is next when `preloop` or `postcmd` leaves no queued command; a true
    # result of `postcmd` lets the program run. `!pass` makes the command loop go round without a trace in `lastcmd`.

    def hooked_setup(self, original):
        def setup(pdb, frame, tb):
            self.stopped(pdb, frame)
            return original(pdb, frame, tb)
        return setup

    def hooked_preloop(self, original):
        def preloop(pdb):
            original(pdb)
            if not pdb.cmdqueue and self.at_prompt(pdb):
                pdb.cmdqueue.append('!pass')
        return preloop

    def hooked_postcmd(self, original):
        def postcmd(pdb, stop, line):
            stop = original(pdb, stop, line)
            if not self.done:
                if stop:
                    self.leaving(pdb)
                elif not pdb.cmdqueue and self.at_prompt(pdb):
                    pdb.set_step()
                    self.leaving(pdb)
                    return 1
            return stop
        return postcmd

    def stopped(self, pdb, frame):
        if self.done:
            return
        self.uninstall()
        self.dead = frame is None
        self.at = pdb
        if not self.inside:
            self.between = False
            self.add(pdb, frame)
        self.inside = False

    def at_prompt(self, pdb):
        """Whether to step on from a prompt that is about to be shown."""
        if self.done:
            return False
        if pdb is not self.at:  # a nested debugger has ended
            self.at = pdb
            self.add(pdb, None)
        return self.prompting(pdb)

    def stock(self):
        return type(self.pdb).trace_dispatch.__get__(self.pdb)

    def install(self, pdb):
        """Takes over from the debugger, whose command has just set what it wants to stop at."""
        self.pdb = pdb
        stock = self.stock()
        self.native = sys.gettrace() is not None
        self.conditions = compile_conditions()
        returning = pdb.frame_returning
        if returning is not None and returning is pdb.stopframe and pdb.stoplineno != -1:
            pdb._set_stopinfo(None, None)  # as Bdb.dispatch_return does as soon as the prompt is left
        self.taking(pdb)
        pdb.trace_dispatch = self.enter
        frame = sys._getframe()
        while frame is not None:
            trace = frame.f_trace
            if trace is None:
                if id(frame) in self.clocked:
                    frame.f_trace = self.pick_caller(frame)
            elif trace == stock:
                frame.f_trace = self.edge_traced if frame.f_code in RUNNERS else self.pick(frame)
            frame = frame.f_back
        if returning is not None:
            back = returning.f_back
            if back is not None and back.f_trace is None and pdb.stoplineno != -1 and (
                    hasattr(pdb, '_set_caller_tracefunc')):
                back.f_trace = self.pick(back)  # dispatch_return does this too, from 3.13 on
            self.trace_caller(returning)
        self.clocked = set()
        self.installed = True
        if not self.dead:
            sys.settrace(self.enter)

    def uninstall(self):
        """Gives every frame the trace function that it would have now without us."""
        if not self.installed:
            return
        self.installed = False
        for bp, condition in self.conditions:
            bp.cond = condition
        self.pdb.__dict__.pop('trace_dispatch', None)
        stock = self.stock() if self.native else None
        frame = sys._getframe()
        while frame is not None:
            trace = frame.f_trace
            if trace is not None and getattr(trace, '__globals__', None) is NAMES:
                self.clocked.add(id(frame))
                frame.f_trace = None if trace in self.unseen else stock
            frame = frame.f_back
        if sys.gettrace() is self.enter:
            sys.settrace(stock)

    def finish(self):
        """The end of the pass: nothing of it stays."""
        self.uninstall()
        for base, name, original in self.hooked:
            if original is None:
                delattr(base, name)
            else:
                setattr(base, name, original)
        self.hooked = []
        self.clocked = set()
        self.done = True
        self.retire()

    def trace_caller(self, frame):
        """As Bdb.set_step does at the return of `frame`."""
        back = frame.f_back
        if back is not None and back.f_trace is None:
            back.f_trace = self.edge if back.f_code in RUNNERS else self.pick_caller(back)

    def pick_caller(self, frame):
        return self.quiet

    def edge(self, frame, event, arg):
        """Traces the end of Bdb.run, which stops being traced as soon as `quitting` is set."""
        if self.done:
            return self.stock()(frame, event, arg)
        if not self.pdb.quitting:
            return self.outer(frame, event, arg)

    def edge_traced(self, frame, event, arg):
        """The same, where the debugger traces it too."""
        if self.done:
            return self.stock()(frame, event, arg)
        if not self.pdb.quitting:
            return self.busy(frame, event, arg)

    def starting(self):
        return self.pdb.botframe is None or self.pdb._wait_for_mainpyfile

    def slow(self, frame, event, arg):
        """Before the program's first line (after a restart) the debugger's own dispatch decides."""
        if self.done:
            return self.stock()(frame, event, arg)
        if not self.starting():
            return self.enter(frame, event, arg)
        self.native = True
        self.dead = False
        result = self.stock()(frame, event, arg)
        if self.done or result is None:
            return result
        if not self.installed:
            self.install(self.pdb)
        return self.slow if self.starting() else self.enter

    def watched(self, frame):
        """break_lines of the frame's code; an empty set where there is nothing to decide."""
        code = frame.f_code
        known = self.codes.get(id(code))
        if known is None:
            filename = self.pdb.canonic(code.co_filename)
            lines = self.pdb.breaks.get(filename)
            hot = break_lines(code, filename, lines) if lines else ()
            known = self.codes[id(code)] = (hot, code)  # the code is kept, so that its id stays its own
        return known[0]


def handles_interrupts(pdb, line):
    """Whether a line is `continue`, which takes SIGINT while the program runs. Programs (asyncio.run) look at that."""
    if not line:
        return False
    queue = list(pdb.cmdqueue)
    try:
        # Of commands with `;;` between them it is the last that runs the program.
        name = pdb.parseline(pdb.precmd(line.split(';;')[-1].strip()))[0]
    finally:
        pdb.cmdqueue[:] = queue
    return getattr(pdb, 'do_' + (name or ''), None) == pdb.do_continue


def handle_interrupts(pdb):
    """As do_continue does. The next prompt undoes it."""
    if pdb.nosigint:
        return
    signals = sys.modules['_signal']
    try:
        sys.modules['pdb'].Pdb._previous_sigint_handler = signals.signal(signals.SIGINT, pdb.sigint_handler)
    except ValueError:
        pass  # not in the main thread


class Steps(Pass):
    """As if `step` were typed n times: passes n-1 stops and leaves the stock debugger in front of the n-th.

    `look` is what to notice on the way: None, ('depth', limit), ('breakpoints', report) or
    ('signature', (file, function, line, moment)).
    """

    def __init__(self, pdb, event, frame, n, look=None):
        Pass.__init__(self, pdb, frame)
        self.n = n
        self.codes = {}
        self.unseen = ()
        self.kind, self.aim = look or (None, None)
        depth = depth_of(frame) if frame is not None else len(dead_frames(pdb))
        self.best = None
        if self.kind == 'depth':
            self.best = 0 if depth <= self.aim else None
        elif self.kind == 'breakpoints' and self.aim and event == 'line' and would_break(pdb, frame):
            self.best = 0
        self.found = None
        # A breakpoint's commands would run at the first stop after it, if they were given while it stopped there.
        pdb.currentbp = 0
        self.handles = handles_interrupts(pdb, request.get('during'))
        self.trace(n - 1, depth - 1 if event == 'return' else depth)

    def taking(self, pdb):
        self.codes = {}

    def prompting(self, pdb):
        if self.left() >= 0:
            return True
        self.arrived()
        return False

    def leaving(self, pdb):
        if self.handles:
            handle_interrupts(pdb)
        if self.left() > 0:
            self.install(pdb)
        else:
            self.pdb = pdb
            self.arrived()

    def arrived(self):
        if self.done:
            return
        n = self.n
        self.finish()
        fields = {'n': n}
        if self.kind == 'signature':
            fields = {'n': self.found, 'lost': self.found is None, 'between': self.between}
        elif self.kind is not None:
            fields['found'] = self.best
        write_reply(fields)

    def trace(self, left, depth):
        """Makes the trace functions. `left` is the number of stops still to pass, `depth` that of the running frame."""
        n = self.n
        kind = self.kind
        line = moment = None
        if kind == 'signature':
            line, moment = self.aim[2:]
        limit = self.aim if kind == 'depth' else -LAP  # no depth is that small

        def quiet(frame, event, arg):
            nonlocal left
            if event == 'line':
                left -= 1
                if left > 0:
                    return None
                return over(frame, event, arg)
            return rare(frame, event, arg)

        def shallow(frame, event, arg):
            nonlocal left
            if event == 'line':
                left -= 1
                self.best = n - 1 - left
                if left > 0:
                    return None
                return over(frame, event, arg)
            return rare(frame, event, arg)

        def breaking(hot):
            def watch(frame, event, arg):
                nonlocal left
                if event == 'line':
                    left -= 1
                    if (hot is None or frame.f_lineno in hot) and left >= 0 and breaks_here(self.pdb, frame):
                        self.best = n - 1 - left
                    if left > 0:
                        return None
                    return over(frame, event, arg)
                return rare(frame, event, arg)
            return watch

        def seeking(frame, event, arg):
            nonlocal left
            if left > 0 and not is_silent(frame, event, arg) and here(frame, event):
                self.found = n - left
                self.arrived()
                return self.stock()(frame, event, arg)
            return quiet(frame, event, arg)

        def here(frame, event):
            if frame.f_lineno == line and moment.could_be(frame, event) and moment.matches(frame):
                self.between = frame.f_lasti != moment.lasti
                return True
            return False

        def rare(frame, event, arg):
            nonlocal left, depth
            if is_silent(frame, event, arg):
                return None
            left -= 1
            if depth <= limit and left >= 0:
                self.best = n - 1 - left
            if event == 'return':
                depth -= 1
                if left > 0:
                    self.trace_caller(frame)
                    if frame.f_back is None:
                        fields = {'n': n - left, 'exited': True}
                        if kind is not None:
                            fields['found'] = self.best
                        write_reply(fields)
            if left > 0:
                return None
            return over(frame, event, arg)

        def enter(frame, event, arg):
            nonlocal left, depth
            if event != 'call':  # the debugger's dispatch has handed us out as its own
                if left <= 0:
                    return over(frame, event, arg)
                frame.f_trace = trace = self.edge_traced if frame.f_code in RUNNERS else pick(frame)
                return trace(frame, event, arg)
            pdb = self.pdb
            if pdb.botframe is None or pdb._wait_for_mainpyfile:
                return self.slow(frame, event, arg)
            if pdb.skip and pdb.is_skipped_module(frame.f_globals.get('__name__')):
                return None
            left -= 1
            if kind is None:
                if left > 0:
                    return quiet
            elif left >= 0:
                depth += 1
                if depth <= limit:
                    self.best = n - 1 - left
                trace = pick(frame)
                if trace is seeking and here(frame, event):
                    self.found = n - 1 - left
                    self.arrived()
                    return self.stock()(frame, event, arg)
                if left > 0:
                    return trace
            return over(frame, event, arg)

        def pick(frame):
            if kind == 'depth':
                return shallow if depth_of(frame) <= limit else quiet
            if kind == 'breakpoints':
                hot = self.watched(frame)
                if hot is not None and not hot:
                    return quiet
                trace = traces.get(id(hot))
                if trace is None:
                    trace = traces[id(hot)] = (breaking(hot), hot)
                return trace[0]
            if kind == 'signature':
                code = frame.f_code
                if code.co_name == self.aim[1] and self.pdb.canonic(code.co_filename) == self.aim[0]:
                    return seeking
            return quiet

        def over(frame, event, arg):
            """At the last event to pass, or in a frame that has outlived the pass."""
            if self.done or left < 0:
                return self.stock()(frame, event, arg)
            self.arrived()
            if event == 'return':
                back = frame.f_back
                if back is not None and back.f_trace is None:
                    back.f_trace = self.stock()
            return self.stock()

        def add(pdb, frame):
            nonlocal left, depth
            left -= 1
            depth = depth_of(frame) if frame is not None else len(dead_frames(pdb))
            if left >= 0 and (depth <= limit or kind == 'breakpoints' and pdb is not self.pdb):
                self.best = n - 1 - left

        def retire():
            nonlocal left
            left = -1

        traces = {}
        self.left = lambda: left
        self.quiet, self.enter, self.pick, self.add, self.retire = quiet, enter, pick, add, retire
        # What runs the debugger has no frame of the program below it: its stops are the shallowest.
        self.outer = self.busy = shallow if kind == 'depth' else quiet
        if kind is not None:
            self.pick_caller = pick


class Count(Pass):
    """Lets the program run by a command of the user's, and counts the clock until the debugger prompts."""

    def __init__(self, pdb, event, frame):
        Pass.__init__(self, pdb, frame)
        self.codes = {}
        self.files = {}
        self.trace()
        self.unseen = (self.quiet, self.edge)

    def taking(self, pdb):
        self.codes = {}
        self.files = {}
        self.stopframe = pdb.stopframe
        self.returnframe = pdb.returnframe
        self.stopline = pdb.stoplineno

    def leaving(self, pdb):
        self.install(pdb)

    def prompting(self, pdb):
        n = self.passed()
        self.finish()
        place = active()
        if place[0] is not pdb:
            place = (pdb, None, None)
        write_reply({'n': n, 'between': self.between, 'where': facts(*place)})
        return False

    def trace(self):
        left = LAP
        laps = 0

        def quiet(frame, event, arg):
            """The debugger does not trace this frame."""
            nonlocal left
            if event == 'line':
                left -= 1
                if left > 0:
                    return None
                return lap(frame, event, arg)
            if is_silent(frame, event, arg):
                return None
            left -= 1
            if event == 'return':
                ending(frame)
            if left <= 0:
                return lap(frame, event, arg)

        def plain(frame, event, arg):
            """The debugger traces this frame, which has no breakpoint."""
            nonlocal left
            if event == 'line':
                left -= 1
                if left > 0:
                    return None
                return lap(frame, event, arg)
            return rare(frame, event, arg)

        def watching(hot):
            def watch(frame, event, arg):
                """The same, where only certain lines can stop it."""
                nonlocal left
                if event == 'line':
                    left -= 1
                    if left > 0:
                        if frame.f_lineno in hot:
                            return ask_stock(frame, event, arg)
                        return None
                    return lap(frame, event, arg)
                return rare(frame, event, arg)
            return watch

        def until(frame, event, arg):
            """The frame in which `until` looks for a line."""
            nonlocal left
            if event == 'line':
                left -= 1
                if left > 0:
                    line = frame.f_lineno
                    if line < self.stopline:
                        hot = self.watched(frame)
                        if hot is not None and line not in hot:
                            return None
                    return ask_stock(frame, event, arg)
                return lap(frame, event, arg)
            return rare(frame, event, arg)

        def every(frame, event, arg):
            """Each event may stop it."""
            nonlocal left
            if left <= 0:
                return lap(frame, event, arg)
            if not is_silent(frame, event, arg):
                left -= 1
            result = ask_stock(frame, event, arg)
            if event == 'return' and not self.done:
                ending(frame)
            return result

        def rare(frame, event, arg):
            nonlocal left
            if left <= 0:
                return lap(frame, event, arg)
            silent = is_silent(frame, event, arg)
            if not silent:
                left -= 1
            if event == 'return':
                if frame is self.returnframe or frame is self.stopframe:
                    ask_stock(frame, event, arg)
                    if self.done:
                        return None
                ending(frame)
            elif event == 'exception':
                stopframe = self.stopframe
                if frame is stopframe or stopframe.f_code.co_flags & GENERATOR and arg[0] in (
                        StopIteration, GeneratorExit):
                    return ask_stock(frame, event, arg)
            return None

        def ending(frame):
            self.trace_caller(frame)
            if frame.f_back is None:
                write_reply({'n': passed() + 1, 'exited': True, 'where': None})

        def ask_stock(frame, event, arg):
            """An event that was counted, and at which the debugger may stop."""
            self.inside = True
            self.between = bool(is_silent(frame, event, arg))
            result = self.stock()(frame, event, arg)
            if self.done:
                return result  # the debugger's trace function, or that of the next pass
            self.inside = False
            if not self.installed:
                self.install(self.pdb)
            return None

        def enter(frame, event, arg):
            nonlocal left
            if event != 'call':  # the debugger's dispatch has handed us out as its own
                if left <= 0:
                    return lap(frame, event, arg)
                frame.f_trace = trace = self.edge_traced if frame.f_code in RUNNERS else pick(frame)
                return trace(frame, event, arg)
            pdb = self.pdb
            if pdb.botframe is None or pdb._wait_for_mainpyfile:
                return self.slow(frame, event, arg)
            if pdb.skip and pdb.is_skipped_module(frame.f_globals.get('__name__')):
                return None
            if left <= 0:
                return lap(frame, event, arg)
            left -= 1
            if self.stopframe is None:
                result = ask_stock(frame, event, arg)
                return result if self.done else pick(frame)
            if not self.native:
                return quiet
            name = frame.f_code.co_filename
            traced = self.files.get(name)
            if traced is None:
                traced = self.files[name] = pdb.canonic(name) in pdb.breaks
            if traced:
                return pick(frame)
            old = frame.f_trace  # a generator keeps its trace function from one resumption to the next
            if old is None or getattr(old, '__name__', None) == 'quiet':
                return quiet
            return pick(frame)

        def pick(frame):
            if not self.native:
                return quiet
            if self.stopframe is None:
                return every
            if frame is self.stopframe and self.stopline != -1:
                return until if self.stopline > 0 else every
            known = self.watched(frame)
            if known is None:
                return all_lines
            if not known:
                return plain
            trace = traces.get(id(frame.f_code))
            if trace is None or trace[0] is not known:
                trace = traces[id(frame.f_code)] = (known, watching(known))
            return trace[1]

        def all_lines(frame, event, arg):
            """A function with a breakpoint of its name whose first line is not known yet."""
            nonlocal left
            if event == 'line' and left > 0:
                left -= 1
                return ask_stock(frame, event, arg)
            return rare(frame, event, arg)

        def lap(frame, event, arg):
            """The counter has run out: count the next lap, or let a frame go that has outlived the pass."""
            nonlocal left, laps
            if self.done:
                if getattr(frame.f_trace, '__name__', None) == 'quiet':
                    frame.f_trace = None
                    return None
                return self.stock()(frame, event, arg)
            laps += LAP - left
            left = LAP
            if event == 'line' and self.watched(frame) != ():
                return ask_stock(frame, event, arg)

        def passed():
            return laps + LAP - left

        def add(pdb, frame):
            nonlocal left
            left -= 1

        def retire():
            nonlocal left
            left = 0
            self.stopframe = self.returnframe = None
            traces.clear()

        traces = {}
        self.quiet, self.enter, self.pick, self.add, self.retire = quiet, enter, pick, add, retire
        self.outer, self.busy, self.passed = quiet, every, passed


def is_silent(frame, event, arg):
    """Whether Bdb lets an event of a traced frame pass when stepping."""
    if event == 'exception':
        return arg[2] is None and arg[0] is StopIteration and frame.f_code.co_flags & GENERATOR
    return event != 'line' and event != 'return' and event != 'call'


def breaks_here(pdb, frame):
    """Bdb.break_here with its effect on the breakpoints, but not on the next stop."""
    current = getattr(pdb, 'currentbp', 0)
    try:
        return pdb.break_here(frame)
    finally:
        pdb.currentbp = current


def would_break(pdb, frame):
    """Whether `continue` would stop here, with no effect on the breakpoints."""
    filename = pdb.canonic(frame.f_code.co_filename)
    if filename not in pdb.breaks:
        return False
    kept = [(bp, bp.hits, bp.ignore) for bp in Breakpoint.bpbynumber if bp]
    try:
        for line in (frame.f_lineno, frame.f_code.co_firstlineno):
            if line in pdb.breaks[filename]:
                return sys.modules['bdb'].effective(filename, line, frame)[0] is not None
        return False
    finally:
        for bp, hits, ignore in kept:
            bp.hits, bp.ignore = hits, ignore


# --- expressions and moments -------------------------------------------------------------------------------------

def digest(text):
    """Of a text of any length, the same in every process: a remainder, computed in C."""
    data = text.encode('utf-8', 'surrogatepass')
    return '%d:%x' % (len(data), int.from_bytes(data, 'little') % 0xf3a5c1d7e94b2806f1d3c5b7a9e8f60b)


def locals_of(pdb, frame):
    # Before 3.13 reading f_locals again drops what the user has assigned at this prompt.
    return pdb.curframe_locals if frame is pdb.curframe else frame.f_locals


def scope_of(pdb, event_frame, scope):
    """The namespaces in which to evaluate: those of the innermost frame of the function, or of its module."""
    if scope is None:
        return pdb.curframe.f_globals, pdb.curframe_locals
    frames = program_frames(event_frame) if event_frame is not None else dead_frames(pdb)
    for frame in frames:
        code = frame.f_code
        if (code.co_name == scope['function'] and code.co_firstlineno == scope['firstlineno']
                and pdb.canonic(code.co_filename) == scope['file']):
            return frame.f_globals, locals_of(pdb, frame)
    for frame in frames:
        if pdb.canonic(frame.f_code.co_filename) == scope['file']:
            return frame.f_globals, frame.f_globals
    for module in list(sys.modules.values()):
        path = getattr(module, '__file__', None)
        if isinstance(path, str) and pdb.canonic(path) == scope['file']:
            return module.__dict__, module.__dict__
    raise LookupError('%s is not running and its module is not loaded' % scope['function'])


def evaluate(pdb, frame):
    names = scope_of(pdb, frame, request.get('scope'))
    now = getattr(sys.modules.get('time'), 'perf_counter', None)
    begin = now() if now else 0
    text = repr(eval(request['expr'], *names))
    each = int((now() - begin) * 1e9) if now else 1000000
    return {'repr': text[:REPR_LIMIT], 'digest': digest(text), 'each_ns': each}


def sketch(value, budget):
    """A bounded description of a simple value that is the same whenever the value is."""
    kind = type(value)
    if kind in (int, float, bool, bytes, str, complex) or value is None:
        if kind in (str, bytes) and len(value) > 200:
            return '%d%r' % (len(value), value[:200])
        return repr(value)
    if kind in (list, tuple):
        if budget > 0:
            return '%d[%s]' % (len(value), ','.join([sketch(v, budget - 1) for v in value[:20]]))
        return '%d[]' % len(value)
    if kind is dict:
        if budget > 0:
            items = []
            for key in value:
                if len(items) == 20:
                    break
                items.append(sketch(key, 0) + ':' + sketch(value[key], budget - 1))
            return '%d{%s}' % (len(value), ','.join(items))
        return '%d{}' % len(value)
    if kind in (set, frozenset):
        return '%d{}' % len(value)
    return kind.__name__


def sketch_frame(frame, names):
    items = []
    for name in sorted([n for n in names if type(n) is str]):
        if name not in MARKS:
            items.append(name + '=' + sketch(names[name], 2))
    code = frame.f_code
    return '%s:%s:%d\n%s' % (code.co_filename, code.co_name, frame.f_lineno, '\n'.join(items))


class Moment:
    """A state of the program, as text: event, offset in the code, digests of the innermost frame and of the others.

    The offset does not take part in the comparison: after Ctrl-C the debugger can stop within a line, where tracing
    from before does not. A few integers are given beside the digests, because comparing them is cheap.
    """

    def __init__(self, text):
        event, lasti, self.top, self.rest = text.split('|')[:4]
        self.event = 'line' if event == 'opcode' else event
        self.lasti = int(lasti)
        self.probes = [(name, int(value)) for name, value in [p.split('=') for p in text.split('|')[4:]]]

    def could_be(self, frame, event):
        if event != self.event:
            return False
        names = frame.f_locals
        for name, value in self.probes:
            now = names.get(name)
            if type(now) is not int or now != value:
                return False
        return True

    def matches(self, frame):
        return self.top == digest(sketch_frame(frame, frame.f_locals)) and self.rest == digest_callers(frame)


def digest_callers(frame):
    return digest('\n'.join([sketch_frame(f, f.f_locals) + '@%d' % f.f_lasti for f in program_frames(frame)[1:]]))


def signature(pdb, event, frame):
    if frame is None:
        raise LookupError('nothing is running')
    names = locals_of(pdb, frame)
    parts = [event, str(frame.f_lasti), digest(sketch_frame(frame, names)), digest_callers(frame)]
    for name in sorted([n for n in names if type(n) is str and type(names[n]) is int])[:4]:
        parts.append('%s=%d' % (name, names[name]))
    return '|'.join(parts)


def complete(pdb):
    """What cmd.Cmd.complete offers for the end of the line, without a line editor."""
    line = request['line'].lstrip()
    delims = ' \t\n`@#%^&*()=+[{]}\\|;:\'",<>?'
    if not hasattr(pdb, '_replace_convenience_variables'):
        delims += '$'
    begin = len(line)
    while begin > 0 and line[begin - 1] not in delims:
        begin -= 1
    text = line[begin:]
    if begin > 0:
        command = pdb.parseline(line)[0]
        function = getattr(pdb, 'complete_' + command, pdb.completedefault) if command else pdb.completedefault
    else:
        function = pdb.completenames
    return [str(m) for m in function(text, line, begin, len(line)) or []]


# --- the debugger's settings -------------------------------------------------------------------------------------

def settings(pdb):
    table = []
    for bp in Breakpoint.bpbynumber:
        if bp:
            row = {'number': bp.number, 'file': bp.file, 'line': bp.line, 'temporary': bool(bp.temporary),
                   'enabled': bool(bp.enabled), 'cond': bp.cond or None, 'ignore': bp.ignore, 'hits': bp.hits,
                   'funcname': bp.funcname, 'commands': None, 'silent': False, 'prompts': True}
            if bp.number in pdb.commands:
                row['commands'] = list(pdb.commands[bp.number])
                row['silent'] = bool(pdb.commands_silent[bp.number])
                row['prompts'] = bool(pdb.commands_doprompt[bp.number])
            table.append(row)
    displays = []
    for frame, expressions in pdb.displaying.items():
        if expressions and frame is not None:
            code = frame.f_code
            displays.append({'scope': {'file': pdb.canonic(code.co_filename), 'function': code.co_name,
                                       'firstlineno': code.co_firstlineno}, 'expressions': list(expressions)})
    return {'breakpoints': table, 'next': Breakpoint.next, 'displays': displays, 'aliases': dict(pdb.aliases)}


def apply(pdb, frame, wanted, keep_counts):
    numbers = {row['number']: row for row in wanted['breakpoints']}
    for bp in list(Breakpoint.bpbynumber):
        if bp:
            row = numbers.get(bp.number)
            if row is None or (row['file'], row['line'], row['funcname']) != (bp.file, bp.line, bp.funcname):
                pdb.clear_bpbynumber(str(bp.number))
    by_number = Breakpoint.bpbynumber
    while len(by_number) < wanted['next']:
        by_number.append(None)
    for number in sorted(numbers):
        row = numbers[number]
        bp = by_number[number]
        if bp is None:
            sys.modules['linecache'].getline(row['file'], row['line'])
            lines = pdb.breaks.setdefault(row['file'], [])
            if row['line'] not in lines:
                lines.append(row['line'])
            bp = Breakpoint(row['file'], row['line'], row['temporary'], row['cond'], row['funcname'])
            by_number.pop()
            bp.number = number
            by_number[number] = bp
            bp.hits, bp.ignore = row['hits'], row['ignore']
        elif not keep_counts:
            bp.hits, bp.ignore = row['hits'], row['ignore']
        bp.temporary, bp.enabled, bp.cond = row['temporary'], row['enabled'], row['cond']
    Breakpoint.next = wanted['next']
    del by_number[max(wanted['next'], 1):]
    for table in (pdb.commands, pdb.commands_silent, pdb.commands_doprompt):
        table.clear()
    for number, row in numbers.items():
        if row['commands'] is not None:
            pdb.commands[number] = list(row['commands'])
            pdb.commands_silent[number] = row['silent']
            pdb.commands_doprompt[number] = row['prompts']
    pdb.aliases.clear()
    pdb.aliases.update(wanted['aliases'])
    apply_displays(pdb, frame, wanted['displays'])


def apply_displays(pdb, frame, displays):
    frames = program_frames(frame) if frame is not None else dead_frames(pdb)
    kept = {}
    for row in displays:
        scope = row['scope']
        for frame in frames:
            code = frame.f_code
            if (code.co_name == scope['function'] and code.co_firstlineno == scope['firstlineno']
                    and pdb.canonic(code.co_filename) == scope['file']):
                old = pdb.displaying.get(frame, {})
                shown = kept.setdefault(frame, {})
                for expr in row['expressions']:
                    if expr in old:
                        shown[expr] = old[expr]
                    else:
                        try:
                            shown[expr] = eval(expr, frame.f_globals, locals_of(pdb, frame))
                        except Exception as error:
                            shown[expr] = '** raised %s **' % describe(error)
                break
    pdb.displaying.clear()
    pdb.displaying.update(kept)


# --- stopping a command on its way -------------------------------------------------------------------------------

RESUME = '_fred_resume'
HOP = '_fred_hop'


class Hop:
    """Lets the program run by a command of the user's as the debugger runs it, until SIGURG comes; stops at the next
    stop then, and leaves at the instance what the command would have stopped at, so that it can be taken up again.
    """

    def __init__(self, pdb):
        self.pdb = pdb
        self.signals = sys.modules['_signal']
        self.stock = type(pdb).trace_dispatch.__get__(pdb)
        self.old = self.signals.signal(self.signals.SIGURG, self.handle)

    def handle(self, number, frame):
        pdb = self.pdb
        self.signals.signal(self.signals.SIGURG, self.old)
        outer = frame
        while outer is not None:
            if outer.f_code.co_name == 'cmdloop':  # it has stopped by itself in this very moment
                return
            outer = outer.f_back
        native = sys.gettrace() is not None
        sys.settrace(None)  # what follows is ours, and not to be stopped at
        inner = frame
        while inner is not None and inner.f_code.co_filename in OWN_FILES:
            inner = inner.f_back
        traced = native and inner is not None and inner.f_trace is not None
        bare = set()
        outer = frame
        while outer is not None and outer.f_code not in RUNNERS:
            if outer.f_trace is None and outer.f_code.co_filename not in OWN_FILES:
                bare.add(id(outer))
                outer.f_trace = self.stock
            outer = outer.f_back
        handles = sys.modules['pdb'].Pdb._previous_sigint_handler is not None
        pdb.__dict__[HOP] = (pdb.stopframe, pdb.returnframe, pdb.stoplineno, native, bare, handles)
        pdb._set_stopinfo(None, None)
        write_reply({'hopped': True, 'traced': traced})
        sys.settrace(self.stock)


OWN_FILES = tuple(sys.modules[name].__file__ for name in ('bdb', 'pdb', 'cmd') if name in sys.modules)


def resumption(pdb):
    """The command that takes up what `Hop` has stopped."""
    stopframe, returnframe, stopline, native, bare, handles = pdb.__dict__.pop(HOP)
    base = pdb_class(pdb)

    def resume(pdb, arg):
        delattr(base, 'do_' + RESUME)
        pdb._set_stopinfo(stopframe, returnframe, stopline)
        if handles:
            handle_interrupts(pdb)
        frame = sys._getframe()
        while frame is not None:
            if id(frame) in bare:
                frame.f_trace = None
            frame = frame.f_back
        if not native:
            sys.settrace(None)
        return 1

    setattr(base, 'do_' + RESUME, resume)
    return RESUME


class Leave:
    """Leaves pdb's own code, in which its handler of Ctrl-C has stopped, for the next stop of the program.

    While that code is on its way out it sets the debugger up for a step, with `trace_dispatch` of its instance.
    """

    def __init__(self, pdb):
        self.pdb = pdb
        pdb.trace_dispatch = self.look
        sys.settrace(None)

    def look(self, frame, event, arg):
        if frame.f_code.co_filename in OWN_FILES:
            return self.look
        self.pdb.__dict__.pop('trace_dispatch', None)
        stock = self.pdb.trace_dispatch
        outer = frame
        while outer is not None:
            if outer.f_trace == self.look:
                outer.f_trace = stock
            outer = outer.f_back
        sys.settrace(stock)
        return stock(frame, event, arg)


def leave(pdb):
    base = pdb_class(pdb)

    def do_leave(pdb, arg):
        delattr(base, 'do_' + RESUME)
        Leave(pdb)
        return 1

    setattr(base, 'do_' + RESUME, do_leave)
    write_reply({})
    pdb.cmdqueue = [RESUME]
