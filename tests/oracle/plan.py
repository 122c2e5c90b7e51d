"""Plans one session of the trace oracle: `python plan.py PROGRAM OUT SEED ACTIONS [BUDGET]`.

PROGRAM is a program to debug; with BUDGET it is made first, by genprog.py from SEED. Stock pdb runs it in this process
(`pdb.main`, its own loop, its own tracing) and gets its commands from here. At its first prompt the process is forked:
one child steps from the start to the end and writes down every stop, that is the trace; others are driven forward by
the commands of the session as planned so far and say where stock pdb stops next. What reverse commands must do follows
from the trace alone. OUT gets, as JSON, the lines of the session and what each must show, and the trace.

Nothing is imported that pdb has not imported: the program's imports would be other ones then.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


class Dice:
    """A small linear congruential generator: the same on every version of Python."""

    def __init__(self, seed):
        self.state = (seed * 2862933555777941757 + 1442695040888963407) % (1 << 64)

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self.state >> 33) % n

    def pick(self, items):
        return items[self.below(len(items))]


class Child(BaseException):
    """Leaves the planner in a child that was forked off in the middle of it."""


class Ended(Exception):
    """The program ran to its end, or past what was traced."""


class Stop:
    """An element of the trace."""

    def __init__(self, event, here, frames, state):
        frame, self.line = here
        self.event = event
        self.depth = len(frames)
        self.text = state['text_of'](event, here, frames)
        self.file = frame.f_code.co_filename
        self.function = frame.f_code.co_name
        self.reads = sys.stdin.tell()
        self.frames = []
        for frame, line in frames:
            names = state['simple_locals'](frame)
            self.frames.append((frame.f_code.co_name, frame.f_code.co_firstlineno, frame.f_code.co_filename, line,
                                eval(repr(names), {'nan': 0.5, 'inf': 0.25})))

    def value(self, expression, scope):
        """As text; None where it cannot be evaluated."""
        found = [f for f in self.frames if f[:3] == scope]
        module = [f for f in self.frames if f[0] == '<module>' and f[2] == scope[2]]
        if not found and not module:
            return None
        names = found[0][4] if found else module[0][4]
        try:
            return repr(eval(expression, dict(module[0][4] if module else {}), dict(names)))
        except Exception:
            return None

    def place(self):
        return {'file': self.file, 'line': self.line, 'function': self.function, 'depth': self.depth}


class Point:
    """A place where the session has stood: an index of the trace, and how a fresh stock pdb gets there."""

    def __init__(self, index, feeds, settings, chain):
        self.index = index
        self.feeds = feeds
        self.settings = settings
        self.chain = chain + [self]


class Feeder:
    """Standard input of pdb and of the program."""

    def __init__(self, program, inputs, plan):
        self.program = program
        self.inputs = inputs
        self.plan = plan
        self.role = 'root'
        self.feeds = []
        self.trace = []
        self.state = {}
        with open(os.path.join(HERE, 'state.py')) as file:
            exec(file.read(), self.state)

    def readline(self, limit=-1):
        pdb = sys._getframe(1).f_locals['self']
        if pdb.use_rawinput:
            # From now on pdb reads from here, and the program, which must not be seen to call a function of ours when it
            # reads or prints, from an object that is written in C.
            pdb.use_rawinput, pdb.stdin, sys.stdin = False, self, sys.modules['io'].StringIO(self.inputs)
        try:
            return self.command() + '\n'
        except Child:
            return self.command() + '\n'

    def ended(self):
        """Whether pdb has started the program again since the last command."""
        text = sys.stdout.getvalue()
        sys.stdout.seek(0)
        sys.stdout.truncate()
        return 'will be restarted' in text or 'The program exited via sys.exit' in text

    def command(self):
        if self.role == 'root':
            try:
                self.plan(self)
            except Child:
                raise
            except BaseException:
                sys.__stderr__.write(sys.modules['traceback'].format_exc())
                sys.__stderr__.flush()
                os._exit(1)
            os._exit(0)
        if self.ended():
            if self.role == 'trace':
                # pdb waits before the first line of the program, again.
                first = Stop.__new__(Stop)
                first.__dict__.update(self.trace[0].__dict__, reads=sys.stdin.tell())
                self.trace.append(first)
            elif self.feeds:
                self.reply(None)
            self.reply(('again', self.numbers()))
        if self.role == 'trace':
            event, here, frames = self.state['stopped']()
            self.trace.append(Stop(event, here, frames, self.state))
            if event == 'post-mortem' or len(self.trace) > 2000:
                self.reply(None)
            return 'step'
        if self.feeds:
            return self.feeds.pop(0)
        self.reply((self.state['describe'](), self.numbers()))

    def numbers(self):
        """The breakpoints that there are."""
        return [b.number for b in sys.modules['bdb'].Breakpoint.bpbynumber if b]

    def reply(self, answer):
        if self.role == 'trace':
            answer = [stop.__dict__ for stop in self.trace]
        data = repr(answer).encode('utf-8')
        while data:
            data = data[os.write(self.pipe, data):]
        os._exit(0)

    def ask(self, role, feeds=()):
        """What a child answers that is driven by `feeds`."""
        get, put = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(get)
            self.role, self.feeds, self.pipe = role, list(feeds), put
            raise Child()
        os.close(put)
        parts = []
        while True:
            part = os.read(get, 1 << 20)
            if not part:
                break
            parts.append(part)
        os.close(get)
        os.waitpid(pid, 0)
        return eval(b''.join(parts).decode('utf-8') or 'None')


class Plan:
    def __init__(self, feeder, seed, actions):
        self.feeder = feeder
        self.dice = Dice(seed)
        self.actions = actions
        self.rows = []
        self.inputs = ''
        self.trace = []
        for fields in feeder.ask('trace'):
            stop = Stop.__new__(Stop)
            stop.__dict__.update(fields)
            self.trace.append(stop)
        self.where = {}
        # The last stop has no stop after it; pdb may have started the program again there.
        self.again = self.trace[-1].text == self.trace[0].text
        for index, stop in enumerate(self.trace[:-1] if self.again else self.trace):
            self.where.setdefault(stop.text, []).append(index)
        with open(feeder.program) as file:
            source = file.read().split('\n')
        # pdb sets no breakpoint on a docstring.
        self.lines = sorted({s.line for s in self.trace if s.file == feeder.program and s.event == 'line'
                             and not source[s.line - 1].startswith('"""')})
        self.line = [Point(0, [], [], [])]
        self.head = 0

    # --- the session as planned so far

    @property
    def point(self):
        return self.line[self.head]

    def append(self, point):
        self.line = self.line[:self.head + 1] + [point]
        self.head += 1

    def say(self, line, index=None, **expected):
        """A line of the session, and where it must be afterwards; what it must be there is asked next."""
        row = {'line': line}
        row.update(expected)
        if index is not None:
            row['stop'] = self.trace[index].place()
            row['index'] = index
        self.rows.append(row)
        if index is not None or 'ok' in expected:
            at = self.point.index
            self.rows.append({'ask': True, 'shows': repr(self.trace[at].text), 'index': at})

    # --- forward

    def arrival(self, feeds):
        """Where stock pdb stops at the end of these commands, and the breakpoints that it has then. The trace has that
        stop just once, or it says nothing."""
        text, numbers = self.feeder.ask('run', feeds) or (None, None)
        if text == 'again' and self.again:
            return len(self.trace) - 1, numbers
        found = [i for i in self.where.get(text, []) if i >= self.point.index]
        if len(found) != 1:
            raise Ended()
        return found[0], numbers

    def forward(self, *lines):
        """Commands of which the last moves."""
        point = self.point
        if self.again and point.index == len(self.trace) - 1:
            raise Ended()
        index, numbers = self.arrival(point.feeds + list(lines))
        for line in lines[:-1]:
            self.configure(line)
        point = self.point
        # The program reads its terminal anew.
        self.inputs += self.feeder.inputs[self.trace[point.index].reads:self.trace[index].reads]
        # Temporary breakpoints that it met are gone: the settings are what they would be had they been cleared.
        gone = ['clear %d' % number for number in sorted(self.table(point)) if number not in numbers]
        self.append(Point(index, point.feeds + [lines[-1]], point.settings + gone, point.chain))
        self.say(lines[-1], index)

    def configure(self, line):
        point = self.point
        self.append(Point(point.index, point.feeds + [line], point.settings + [line], point.chain))
        self.say(line)

    def steps(self):
        for _ in range(1 + self.dice.below(4)):
            self.forward('step')

    def onward(self):
        self.forward(self.dice.pick(['next', 'next', 'n', 'until', 'return', 'continue', 'c']))

    def until(self):
        stop = self.trace[self.point.index]
        later = [line for line in self.lines if line > (stop.line or 0)]
        if not later or stop.file != self.feeder.program:
            raise Ended()
        self.forward('until %d' % self.dice.pick(later))

    def temporary(self):
        self.forward('tbreak %s:%d' % (self.feeder.program, self.target()), 'continue')

    # --- settings

    def number(self):
        return len([s for s in self.point.settings if s.split()[0] in ('break', 'tbreak')]) + 1

    def target(self):
        """A line that the program will pass, or any."""
        later = [s.line for s in self.trace[self.point.index + 1:] if s.line in self.lines and s.file == self.feeder.program]
        return self.dice.pick(later if later and self.dice.below(5) else self.lines)

    def condition(self):
        return self.dice.pick(['t % 2 == 0', 't > 9', 'n % 3', 'len(str(t)) > 2', 'True', 'nowhere'])

    def breakpoint(self):
        line = 'break %s:%d' % (self.feeder.program, self.dice.pick(self.lines))
        if self.dice.below(3) == 0:
            line += ', ' + self.condition()
        self.configure(line)

    def change(self):
        count = self.number() - 1
        if not count:
            raise Ended()
        number = 1 + self.dice.below(count)
        if number not in self.table(self.point):
            raise Ended()
        word = self.dice.pick(['disable', 'enable', 'condition', 'clear'])
        rest = ' ' + self.condition() if word == 'condition' else ''
        self.configure('%s %d%s' % (word, number, rest))

    def table(self, point):
        """The breakpoints at a point, by number: [line, condition, enabled, temporary]."""
        table = {}
        number = 0
        for setting in point.settings:
            word, _, rest = setting.partition(' ')
            if word in ('break', 'tbreak'):
                number += 1
                place, _, cond = rest.partition(', ')
                table[number] = [int(place.rpartition(':')[2]), cond, True, word == 'tbreak']
                continue
            one, _, rest = rest.partition(' ')
            if int(one) not in table:
                continue
            if word == 'disable':
                table[int(one)][2] = False
            elif word == 'enable':
                table[int(one)][2] = True
            elif word == 'condition':
                table[int(one)][1] = rest
            elif word == 'clear':
                del table[int(one)]
        return table

    def breaks_at(self, table, stop):
        if stop.event != 'line' or stop.file != self.feeder.program:
            return False
        for line, cond, enabled, _ in table.values():
            if enabled and line == stop.line:
                if not cond:
                    return True
                names = dict(stop.frames[-1][4])
                local = dict(stop.frames[0][4])
                try:
                    if eval(cond, names, local):
                        return True
                except Exception:
                    return True
        return False

    # --- backward

    def land(self, line, index, **expected):
        """A reverse move: from the last anchor at or before the landing, by steps, with the settings of now."""
        here = self.point
        anchor = [p for p in here.chain if p.index <= index][-1]
        ticks = index - anchor.index
        rest = here.settings[len(anchor.settings):]
        if ticks == 0 and not rest:
            self.append(anchor)
        else:
            self.append(Point(index, anchor.feeds + ['step'] * ticks + rest, here.settings, anchor.chain))
        self.say(line, index, ok=expected.pop('ok', True), **expected)

    def refuse(self, line):
        self.say(line, ok=False)

    def name(self, words, n):
        word = self.dice.pick(words)
        return word if n == 1 and self.dice.below(3) else '%s %d' % (word, n)

    def count(self):
        return 1 if self.dice.below(3) else 1 + self.dice.below(5)

    def back(self, words, n, previous):
        """`n` moves, each to previous(k)."""
        line = self.name(words, n)
        at = self.point.index
        done = 0
        while done < n:
            found = previous(at)
            if found is None:
                break
            at = found
            done += 1
        if done == 0:
            self.refuse(line)
        else:
            self.land(line, at, ok=done == n)

    def last(self, k, fits):
        for j in range(k - 1, -1, -1):
            if fits(self.trace[j]):
                return j
        return None

    def reverse_step(self):
        self.back(['fred-reverse-step', 'fred-rs'], self.count(), lambda k: k - 1 if k else None)

    def reverse_next(self):
        self.back(['fred-reverse-next', 'fred-rn'], self.count(),
                  lambda k: self.last(k, lambda stop: stop.depth <= self.trace[k].depth))

    def reverse_finish(self):
        line = self.dice.pick(['fred-reverse-finish', 'fred-rf'])
        depth = self.trace[self.point.index].depth
        found = self.last(self.point.index, lambda stop: stop.depth < depth)
        if found is None or depth < 2:  # what runs the debugger is nobody's caller
            self.refuse(line)
        else:
            self.land(line, found)

    def reverse_continue(self):
        table = self.table(self.point)
        if any([temporary for _, _, _, temporary in table.values()]):
            raise Ended()  # whether it would have been there still depends on the way here
        previous = lambda k: self.last(k, lambda stop: self.breaks_at(table, stop))
        n = self.count()
        self.back(['fred-reverse-continue', 'fred-rc'], n, lambda k: previous(k) if previous(k) is not None else (
            0 if k else None))

    def reverse_watch(self):
        here = self.trace[self.point.index]
        frames = [f for f in here.frames[:1] if f[2] == self.feeder.program and f[4]]
        if self.point.index == len(self.trace) - 1 or not frames:
            raise Ended()
        name, first, file, _, names = frames[0]
        variables = sorted(names) + sorted(set(here.frames[-1][4]) - set(names))
        variable = self.dice.pick(variables)
        value = names.get(variable, here.frames[-1][4].get(variable))
        forms = ['%s']
        if type(value) is int:
            forms += ['%s % 2', '%s > ' + str(value - 1), '%s == ' + str(value)]
        if type(value) in (list, str, dict):
            forms.append('len(%s)')
        expression = self.dice.pick(forms).replace('%s', variable)
        scope = (name, first, file)
        values = [stop.value(expression, scope) for stop in self.trace[:self.point.index + 1]]
        now = values[-1]
        if now is None:
            raise Ended()
        changes = [j for j in range(len(values) - 1) if values[j] != now and values[j + 1] == now]
        line = '%s %s' % (self.dice.pick(['fred-reverse-watch', 'fred-rw']), expression)
        if not changes:
            self.refuse(line)
        elif len(changes) == 1:
            j = changes[0]
            stop = self.trace[j]
            at = stop.frames[1] if stop.event == 'return' and stop.depth > 1 else (
                stop.function, None, stop.file, stop.line)
            self.land(line, j, changed_by={'file': at[2], 'line': at[3], 'function': at[0]})
        else:
            # Any of them is a change; where the session goes on from is not known, so it is undone at once.
            self.rows.append({'line': line, 'ok': True, 'among': [
                dict(self.trace[j].place(), index=j) for j in changes]})
            self.rows.append({'ask': True, 'shows_among': [repr(self.trace[j].text) for j in changes]})
            self.append(Point(None, None, None, []))
            self.head -= 1
            self.say('fred-undo', self.point.index, ok=True)

    # --- along the history

    def go(self, head):
        """Moves along the line, but not to where a reverse-watch had a choice."""
        if self.line[head].index is None:
            raise Ended()
        self.head = head

    def undo(self):
        n = self.count()
        line = self.name(['fred-undo'], n)
        if self.head == 0:
            return self.refuse(line)
        ok = n <= self.head
        self.go(max(0, self.head - n))
        self.say(line, self.point.index, ok=ok)

    def redo(self):
        left = len(self.line) - 1 - self.head
        n = self.count()
        line = self.name(['fred-redo'], n)
        if not left:
            return self.refuse(line)
        self.go(self.head + min(n, left))
        self.say(line, self.point.index, ok=n <= left)

    def there_and_back(self):
        if self.head == 0:
            raise Ended()
        n = 1 + self.dice.below(self.head)
        self.head -= n
        self.say('fred-undo %d' % n, self.point.index, ok=True)
        self.head += n
        self.say('fred-redo %d' % n, self.point.index, ok=True)

    def checkpoint(self):
        """A checkpoint of the user's, and back to the last one on this line."""
        self.say('fred-checkpoint', self.point.index, ok=True)
        self.rows[-2].pop('stop')
        self.kept = self.head
        for _ in range(self.dice.below(3)):
            self.dice.pick([self.onward, self.reverse_step])()
        if self.line[self.kept:self.head]:
            self.go(self.kept)
            self.say('fred-restart', self.point.index, ok=True)

    def goto(self):
        self.go(self.dice.below(len(self.line)))
        self.say('fred-goto %d' % self.head, self.point.index, ok=True)

    def ignored(self):
        """An ignore count used up by `continue` alone: its stops are those of reverse-continue."""
        line = self.target()
        self.configure('break %s:%d' % (self.feeder.program, line))
        self.configure('ignore 1 %d' % (1 + self.dice.below(3)))
        stops = [0]
        try:
            for _ in range(2 + self.dice.below(3)):
                self.forward('continue')
                stops.append(self.point.index)
        except Ended:
            pass
        stops.pop()
        while stops:
            self.land('fred-reverse-continue', stops.pop())

    def run(self):
        dice = self.dice
        kind = dice.below(6)
        if kind == 0:
            self.ignored()
            return self.moves([self.reverse_step, self.reverse_next, self.reverse_finish, self.reverse_watch, self.undo,
                               self.redo, self.there_and_back, self.steps])
        for _ in range(dice.below(3)):
            self.breakpoint()
        backward = [self.reverse_step, self.reverse_step, self.reverse_next, self.reverse_next, self.reverse_finish,
                    self.reverse_continue, self.reverse_continue, self.reverse_watch, self.reverse_watch]
        self.moves([self.steps, self.onward, self.onward, self.onward, self.onward, self.until, self.temporary,
                    self.temporary, self.breakpoint, self.change, self.undo, self.redo, self.there_and_back,
                    self.goto, self.checkpoint] + backward)

    def moves(self, kinds):
        refused = 0
        while self.actions > 0 and refused < 60:
            try:
                self.dice.pick(kinds)()
                self.actions -= 1
            except Ended:
                refused += 1


def main(program, out, seed, actions, budget=None):
    if budget is not None:
        sys.path.insert(0, HERE)
        import genprog
        sys.path.pop(0)
        with open(program, 'w') as file:
            file.write(genprog.generate(int(seed), int(budget)))
    with open(program) as file:
        first = file.read().partition('# input:')[2].partition('\n')[0]
    inputs = ''.join([line + '\n' for line in first.split()])

    def plan(feeder):
        made = Plan(feeder, int(seed), int(actions))
        made.run()
        import json
        with open(out, 'w') as file:
            json.dump({'rows': made.rows, 'inputs': made.inputs,
                       'trace': [[stop.file, stop.line, stop.function, stop.event] for stop in made.trace]}, file)

    import pdb
    sys.argv = ['pdb', program]
    sys.path[0] = os.path.dirname(program)
    sys.stdin = Feeder(program, inputs, plan)
    sys.stdout = sys.modules['io'].StringIO()
    pdb.main()


if __name__ == '__main__':
    # pdb empties __main__ before it runs the program: what goes on here lives in another module.
    sys.path.insert(0, HERE)
    import plan
    sys.path.pop(0)
    plan.main(*sys.argv[1:])
