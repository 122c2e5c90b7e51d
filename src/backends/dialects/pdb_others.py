

# --- changes that other threads make ------------------------------------------------------------------------------
#
# The debugger steps one thread. What the others do meanwhile is done "by" the statement of that thread, which may only
# wait for them. From Python 3.12 on they can be traced from outside; before, those that begin while a `Gate` is there.

GATE = '_fred_gate'
MOST_LOOKS = 200000  # at an expression that costs nothing, some seconds
LONGEST_LOOK = 2 * 10 ** 9  # nanoseconds, all of them


class Gate:
    """Has the threads that begin from now on traced, as lightly as can be, so that `Others` can look at what they do."""

    def __init__(self, pdb):
        self.others = None
        self.threads = set()
        self.there = False
        pdb.__dict__[GATE] = self
        self.hook()

    def hook(self):
        threading = sys.modules.get('threading')
        if threading is not None and hasattr(threading, 'settrace'):
            threading.settrace(self)
            self.there = True

    def before(self, enter):
        """A trace function for a pass on whose way that module may yet be imported."""
        if self.there:
            return enter

        def entering(frame, event, arg):
            if not self.there and event == 'call' and frame.f_code.co_name == 'start':
                self.hook()
            return enter(frame, event, arg)
        return entering

    def __call__(self, frame, event, arg):
        self.threads.add(sys.modules['_thread'].get_ident())
        if self.others is not None:
            return self.others.trace(frame, event, arg)


LOCKING = ('acquire', 'acquire_lock', 'wait')
MOST_CODES = 300


def may_lock(code, names):
    """Whether evaluating `code` may wait for a lock, which the thread that is looked at may hold.

    Looks at what the code names, what that names, and so on: code cannot be run for it, as the prompt is inside a trace
    function, where calls are not seen.
    """
    operations = sys.modules['dis'].opmap
    entering = {operations[name] for name in ('SETUP_WITH', 'BEFORE_WITH', 'LOAD_SPECIAL') if name in operations}
    owners, known, seen = [], set(), set()
    todo = [(code, names)]

    def own(value):
        if id(value) not in known and len(owners) < MOST_CODES:
            known.add(id(value))
            owners.append(value)

    def take(value, names):
        value = getattr(value, 'fget', value)
        value = getattr(value, '__func__', value)
        code = getattr(value, '__code__', None)
        if code is not None:
            todo.append((code, (getattr(value, '__globals__', {}),)))
        else:
            own(value)

    while todo:
        code, names = todo.pop()
        if code in seen:
            continue
        seen.add(code)
        if len(seen) > MOST_CODES or entering.intersection(code.co_code[::2]) or any(
                name in code.co_names for name in LOCKING):
            return True
        for constant in code.co_consts:
            if hasattr(constant, 'co_code'):
                todo.append((constant, names))
        for name in code.co_names + code.co_freevars:
            for space in names:
                if name in space:
                    take(space[name], names)
                    break
            for owner in list(owners):
                fields = getattr(owner, '__dict__', None)
                if isinstance(fields, dict) and name in fields:
                    take(fields[name], names)
                for base in type(owner).__mro__:
                    if name in base.__dict__:
                        take(base.__dict__[name], names)
                        break
        for owner in list(owners):
            # What operators and built-in functions call.
            for base in type(owner).__mro__:
                if base.__module__ not in ('builtins', 'threading', '_thread'):
                    for name, value in base.__dict__.items():
                        if name[:2] == '__' and name != '__init__' and hasattr(value, '__code__'):
                            take(value, names)
    return False


class Others(Pass):
    """One step of the user's thread, during which the others are looked at: who makes the change of an expression.

    It is evaluated before every instruction of the threads that can be traced. Between two of these only one thread has
    run its own; one that waits in a call finishes that call first. If it may take locks it is evaluated at the next stop
    only: whoever holds one then waits for us.
    """

    def __init__(self, pdb, event, frame):
        Pass.__init__(self, pdb, frame)
        self.handles = handles_interrupts(pdb, request.get('during'))
        self.identify = sys.modules['_thread'].get_ident
        self.me = self.identify()
        self.origin = frame
        self.stepped = self.finished = False
        self.found = None
        self.code = compile(request['expr'], '<fred>', 'eval')
        self.scope = None
        scope = request.get('scope')
        for outer in [pdb.curframe] if scope is None else program_frames(frame) if frame is not None else []:
            if scope is None or scope_name(pdb, outer) == scope:
                self.scope = outer
                break
        self.fixed = scope_of(pdb, frame, scope)
        self.blind = may_lock(self.code, self.fixed)
        self.text = self.evaluate()
        self.left = max(100, min(MOST_LOOKS, LONGEST_LOOK // (request['each_ns'] + 1000)))
        self.traced = set()
        self.everybody = False
        self.previous = self.me
        self.places = {self.me: None}
        self.moments = self.moments_of()

    def evaluate(self):
        names = self.fixed if self.scope is None else (self.scope.f_globals, self.scope.f_locals)
        try:
            return repr(eval(self.code, *names))
        except Exception as error:
            return describe(error)

    def moments_of(self):
        """Where the other threads are, with their names."""
        names = getattr(sys.modules.get('threading'), '_active', {})
        moments = {}
        for ident, frame in sys._current_frames().items():
            if ident != self.me:
                try:
                    text = sketch_frame(frame, frame.f_locals)
                except Exception:
                    text = None
                name = getattr(names.get(ident), 'name', None)
                # The frame is kept: another one at its address would be taken for it.
                moments[ident] = (frame, frame.f_lasti, text, name or 'thread %d' % ident)
        for thread in beginning():
            moments[thread] = (None, 0, None, thread.name)
        return moments

    def look(self, place):
        """The running thread is about to execute an instruction of `place`."""
        if self.done or self.finished or self.blind:
            return
        ident = self.identify()
        self.left -= 1
        if self.left < 0:
            self.finished = True
            return
        self.compare(ident)
        self.previous = ident
        self.places[ident] = place

    def compare(self, ident):
        text = self.evaluate()
        now = self.moments_of() if ident == self.me else None
        if text != self.text:
            if now is None:
                now = self.moments_of()
            moved = [moment[3] for who, moment in now.items() if moment[:3] != self.moments.get(who, ())[:3]
                     and not self.is_traced(who)]
            moved += [moment[3] for who, moment in self.moments.items() if who not in now
                      and not self.is_traced(who)]
            self.text = text
            self.found = (self.previous, self.places.get(self.previous), moved, self.name_of(self.previous, now))
        if now is not None:
            self.moments = now

    def is_traced(self, ident):
        # One that begins is traced as soon as it runs.
        return not self.blind and (self.everybody or ident in self.traced or type(ident) is not int)

    def name_of(self, ident, now):
        for moments in (now, self.moments):
            if ident in moments:
                return moments[ident][3]
        return 'thread %d' % ident

    def trace(self, frame, event, arg):
        """The trace function of the other threads."""
        if self.done or self.finished:
            return None
        self.traced.add(self.identify())
        if event == 'call':
            self.open(frame)
        code = frame.f_code
        self.look((code.co_filename, frame.f_lineno, code.co_name))
        return self.trace

    def open(self, frame):
        frame.f_trace = self.trace
        try:
            frame.f_trace_opcodes = True
        except AttributeError:
            pass  # before 3.7: lines are what can be told apart

    def dispatch(self, frame, event, arg):
        """The trace function of the user's thread."""
        if event == 'opcode' and not self.done:
            code = frame.f_code
            self.look((code.co_filename, frame.f_lineno, code.co_name))
            return self.dispatch
        return self.stock()(frame, event, arg)

    def prompting(self, pdb):
        stepped, self.stepped = self.stepped, True
        return not stepped

    def leaving(self, pdb):
        if self.handles:
            handle_interrupts(pdb)
        self.pdb = pdb
        threading = sys.modules.get('threading')
        if threading is not None:
            threading.settrace(self.trace)
        gate = pdb.__dict__.get(GATE)
        if gate is not None:
            gate.others = self
            self.traced.update(gate.threads)
        self.everybody = hasattr(sys, '_settraceallthreads')
        if not self.blind:
            for ident, frame in sys._current_frames().items():
                while frame is not None and ident != self.me and self.is_traced(ident):
                    self.open(frame)
                    frame = frame.f_back
            if self.everybody:
                sys._settraceallthreads(self.trace)
        pdb.trace_dispatch = self.dispatch
        frame = self.origin
        for _ in range(2):
            if frame is not None and frame.f_code not in RUNNERS:
                if frame.f_trace is not None:
                    frame.f_trace = self.dispatch
                try:
                    frame.f_trace_opcodes = True
                except AttributeError:
                    pass
                frame = frame.f_back
        sys.settrace(self.dispatch)

    def add(self, pdb, frame):
        """The next stop."""
        looked = self.left > 0
        if looked:
            self.compare(self.me)
        self.pdb.__dict__.pop('trace_dispatch', None)
        moved, culprit = [], None
        if not looked:
            moved = [moment[3] for _, moment in self.moments.items()]
        elif self.found is None:
            looked = False  # it did not happen this time
        else:
            who, place, moved, name = self.found
            if who != self.me and place is not None:
                culprit = {'file': self.pdb.canonic(place[0]), 'line': place[1], 'function': place[2], 'thread': name}
        fields = {'culprit': culprit, 'moved': moved, 'looked': looked}
        self.finish()
        write_reply(fields)

    def retire(self):
        pass


