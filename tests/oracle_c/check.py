"""One session of the trace oracle for native programs: `python3 check.py FRED DEBUGGER SEED DIR [PROGRAM.c|.cc]`.

DEBUGGER is gdb or one of lldb's names (lldb-16). The compiler's flags are those of ORACLE_FLAGS, `-O0` if there are none.
With ORACLE_KIND=breakpoints the session goes between breakpoints, with conditions and without, instead of stepping.

Makes a program from the seed (or takes one), has the plain debugger step it from main to its end, and makes up a session
of forward and reverse moves. The trace alone says where each must lead; what fred's event stream says is compared with it.
Prints what is wrong and exits with 1, or how much was compared.
"""
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from genprog import Dice, Program  # noqa: E402

ACTIONS = 22
FLAGS = os.environ.get('ORACLE_FLAGS', '-O0').split()
OPTIMISED = '-O0' not in FLAGS
GLOBALS = ['counter', 'shape.b']


class Gdb:
    """How gdb is run and spoken to."""

    # Libraries without lines, whether a machine has debugging information for them or not.
    setup = 'set debug-file-directory /none'
    begin = ['set confirm off', 'break main', 'run']
    looks = ['info locals', 'info args']
    options = ['-q', '-nx']
    counting = 'info breakpoints'
    # A reverse move that lands on a breakpoint has hit it, as in gdb itself.
    counts_back = True

    def __init__(self, name):
        self.name = name

    def trace(self, program):
        return [self.name, '-batch', '-nx', '-x', os.path.join(HERE, 'trace.py'), '--args', program]

    def breakpoint(self, number, one, plain):
        """What sets a breakpoint; a `plain` one has its place and its condition only."""
        word = 'tbreak' if one.once and not plain else 'break'
        lines = ['%s %s%s' % (word, one.place or 'main', ' if ' + one.condition if one.condition else '')]
        if not plain and one.ignored:
            lines.append('ignore %d %d' % (number, one.ignored))
        if not plain and one.does:
            # Not the very word that the session uses.
            lines.append('\n'.join(['commands %d' % number, 'silent', 'printf "here\\n"'] +
                                   ['continue 1'] * one.goes_on + ['end']))
        return lines

    def hits(self, output):
        """Number to count of `info breakpoints`."""
        found, number = {}, None
        for line in output.splitlines():
            row = re.match(r'(\d+)\s', line)
            number = row.group(1) if row else number
            count = re.search(r'breakpoint already hit (\d+) time', line)
            if row:
                found[number] = 0
            if count:
                found[number] = int(count.group(1))
        return found

    def steps(self, n):
        """Lines that make n steps, and how many each makes."""
        return [('step %d' % n if n > 1 else 'step', n)]

    def variable(self, line):
        name, equals, value = line.partition(' = ')
        return (name, value) if equals else None


class Lldb:
    """How lldb is run and spoken to."""

    setup = 'settings set symbols.enable-external-lookup false'
    begin = ['breakpoint set --name main', 'run']
    looks = ['frame variable']
    options = ['-x']
    counting = 'breakpoint list'
    # The stop that lldb is told of then is none at a breakpoint.
    counts_back = False

    def __init__(self, name):
        self.name = name

    def trace(self, program):
        script = os.path.join(HERE, 'trace_lldb.py')
        return [self.name, '-b', '-x', '-o', 'command script import ' + script, program]

    def breakpoint(self, number, one, plain):
        if one.place:
            line = 'breakpoint set --file %s --line %s' % tuple(one.place.split(':'))
        else:
            line = 'breakpoint set --name main'
        if one.condition:
            line += " --condition '%s'" % one.condition
        if not plain and one.ignored:
            line += ' --ignore-count %d' % one.ignored
        if not plain and one.once:
            line += ' --one-shot true'
        if not plain and one.goes_on:
            line += ' --auto-continue true'
        if not plain and one.does:
            line += " --command 'frame info'"
        return [line]

    def hits(self, output):
        rows = (re.match(r'(\d+): .*?(?:hit count = (\d+)|$)', line) for line in output.splitlines())
        return {row.group(1): int(row.group(2) or 0) for row in rows if row}

    def steps(self, n):
        # `thread step-in --count` counts something else.
        return [('step', 1)] * n

    def variable(self, line):
        found = re.match(r'\(.*?\) (\w+) = (.*)$', line)
        return found.groups() if found else None


class Wrong(Exception):
    pass


class Session:
    """Makes up a session, with the index in the trace that each command leads to."""

    def __init__(self, debugger, trace, dice):
        self.debugger = debugger
        self.trace = trace
        self.dice = dice
        self.at = [0]
        # Line, and what it must lead to: an index, a set of indices, or None for a query.
        self.plan = []

    def here(self):
        return self.at[-1]

    def add(self, line, index):
        self.plan.append((line, index))
        self.at.append(index)

    def depth(self, index):
        return self.trace[index]['depth']

    def forward(self):
        k = self.here()
        last = len(self.trace) - 1
        if k >= last - 1:
            return self.reverse()
        # Where next leads in optimised code is not to be seen from steps: lines are left in their middle.
        if OPTIMISED or self.dice.below(2):
            n = 1 + self.dice.below(min(12, last - k - 1))
            for line, made in self.debugger.steps(n):
                self.add(line, self.here() + made)
            return
        for j in range(k + 1, last):
            closer = self.depth(j) < self.depth(k)
            # After a call, a step stops where the line goes on, if that begins a row of the line table; next does not.
            other = self.trace[j]['line'] != self.trace[k]['line']
            if closer or self.depth(j) == self.depth(k) and other:
                return self.add('next', j)
        self.add('step', k + 1)

    def reverse(self):
        kind = self.dice.below(6)
        if kind == 5:
            return self.watch()
        line, count = ('step', 'step', 'next', 'next', 'finish')[kind], 1
        if self.dice.below(4) == 0:
            # fred-reverse-finish takes no number.
            count = max(1, (2 + self.dice.below(2)) * (line != 'finish'))
        index, done = self.here(), 0
        while done < count:
            before = self.before(line, index)
            if before is None:
                break
            index, done = before, done + 1
        if done:
            self.add('fred-reverse-%s' % line + (' %d' % done if done > 1 else ''), index)

    def before(self, move, k):
        """Where one reverse move leads from an element; None at the start."""
        bound = {'step': 1 << 30, 'next': self.depth(k), 'finish': self.depth(k) - 1}[move]
        return next((j for j in range(k - 1, -1, -1) if self.depth(j) <= bound), None)

    def watch(self):
        k = self.here()
        names = sorted(self.trace[k]['globals'])
        if not names:
            return
        name = self.dice.pick(names)
        value = lambda j: self.trace[j]['globals'][name]  # noqa: E731
        right = [j for j in range(k) if value(j) != value(k) and value(j + 1) == value(k)]
        if right:
            # Any change to the value of now is right; the search says which, and the session goes on from there.
            self.plan.append(('fred-reverse-watch ' + name, set(right)))
            self.at.append(('open', right))

    def make(self):
        while len(self.plan) < ACTIONS:
            if isinstance(self.here(), tuple):
                # Where that led is known only afterwards: back to what is known.
                self.at.append(self.at[-2])
                self.plan.append(('fred-undo', self.at[-1]))
                continue
            kind = self.dice.below(10)
            if kind < 4:
                self.forward()
            elif kind < 9:
                self.reverse()
            elif len(self.at) > 2 and not isinstance(self.at[-2], tuple) and self.plan[-1][0] != 'fred-undo':
                self.at.append(self.at[-2])
                self.plan.append(('fred-undo', self.at[-1]))
        return self.plan


class Breakpoint:
    """One that a session sets: `main` if it has no place."""

    def __init__(self, place=None, condition=None, ignored=0, once=False, does=False, goes_on=False):
        self.place, self.condition, self.ignored = place, condition, ignored
        self.once, self.does, self.goes_on = once, does, goes_on


class State:
    """Where a session between breakpoints stands, and what its breakpoints have become."""

    def __init__(self, at, counted, ignored):
        self.at, self.counted, self.ignored = at, counted, ignored

    def copy(self):
        return State(self.at, dict(self.counted), dict(self.ignored))


class Breakpoints:
    """Makes up a session that goes between breakpoints. The trace has every hit of every one, as if they were plain."""

    def __init__(self, debugger, breakpoints, trace, dice):
        self.debugger = debugger
        self.breakpoints = {str(number): one for number, one in enumerate(breakpoints, 1)}
        self.trace = trace
        self.dice = dice
        trace[0]['by'] = [number for number, count in trace[0]['hits'].items() if count]
        for before, after in zip(trace, trace[1:]):
            after['by'] = [number for number, count in after['hits'].items() if count > before['hits'][number]]

    @staticmethod
    def choose(trace, dice):
        """Breakpoints where steps have stopped, most of them where they did more than once."""
        every = ['%s:%d' % (stop['file'], stop['line']) for stop in trace if stop['file']]
        places = [place for place in every if every.count(place) > 2 or dice.below(8) == 0] or every
        names = sorted(trace[0]['globals'])
        condition = '%s %% %d == 0' % (dice.pick(names), 2 + dice.below(3)) if names else '1 == 1'
        found = [Breakpoint(), Breakpoint(dice.pick(places)), Breakpoint(dice.pick(places)),
                 Breakpoint(dice.pick(places), condition)]
        kind = dice.below(5)
        if kind == 1:
            found[1].ignored = 1 + dice.below(4)
        elif kind == 2:
            found[2].once = True
        elif kind == 3:
            found[1].does = True
            found[3].ignored = 1 + dice.below(2)
        elif kind == 4:
            # What it does at a stop of others is another matter.
            others = [one.place for one in found] + every[:1]
            places = [place for place in places if place not in others]
            if places:
                found.append(Breakpoint(dice.pick(places), does=True, goes_on=True))
        return found

    def begin(self):
        state = State(-1, {number: 0 for number in self.breakpoints},
                      {number: one.ignored for number, one in self.breakpoints.items()})
        return self.forward(state)

    def hit(self, state):
        """What a forward run makes of the hits where it is: whether it is a stop."""
        stops, goes_on = False, False
        for number in self.trace[state.at]['by']:
            if number not in state.counted:
                continue
            state.counted[number] += 1
            if state.ignored[number] > 0:
                state.ignored[number] -= 1
                continue
            one = self.breakpoints[number]
            stops, goes_on = True, goes_on or one.goes_on
            if one.once:
                del state.counted[number]
        return stops and not goes_on

    def forward(self, state):
        """Where `continue` leads; None if to the end."""
        state = state.copy()
        while state.at < len(self.trace) - 1:
            state.at += 1
            if self.hit(state):
                return state
        return None

    def backward(self, state):
        """Where `fred-reverse-continue` leads, or passes when it goes on to another stop: a hit in any case; None if there is no stop."""
        state = state.copy()
        while state.at > 0:
            state.at -= 1
            there = [number for number in self.trace[state.at]['by']
                     if number in state.counted and not self.breakpoints[number].goes_on]
            stops = [number for number in there if state.ignored[number] == 0]
            if stops:
                for number in self.trace[state.at]['by']:
                    if number in state.counted and self.debugger.counts_back:
                        state.counted[number] += 1
                        state.ignored[number] = max(0, state.ignored[number] - 1)
                for number in stops:
                    if self.breakpoints[number].once:
                        del state.counted[number]
                return state
            for number in there:
                state.ignored[number] -= 1
        return None

    def check_forward(self, trace):
        """That a plain debugger stops where the model says, and counts what that counts."""
        state = self.begin()
        for index, stop in enumerate(trace):
            if state is None:
                raise Wrong('the model has %d stops, plain %s more' % (index, self.debugger.name))
            place = self.trace[state.at]
            if (stop['file'], stop['line'], stop['depth']) != (place['file'], place['line'], place['depth']):
                raise Wrong('the model stops at %s, plain %s at %s' % (place, self.debugger.name, stop))
            if stop['hits'] != state.counted:
                raise Wrong('stop %d: the model counts %s, plain %s %s' % (
                    index, state.counted, self.debugger.name, stop['hits']))
            state = self.forward(state)
        if state is not None:
            raise Wrong('the model stops at %s, plain %s not' % (self.trace[state.at], self.debugger.name))

    def make(self):
        """The plan, and what the breakpoints have counted after each command."""
        plan, states = [], [self.begin()]
        for _ in range(10 * ACTIONS):
            if len(plan) == ACTIONS:
                break
            kind, here = self.dice.below(8), states[-1]
            if kind < 3:
                line, there = 'continue', self.forward(here)
            elif kind < 6:
                count = 1 + self.dice.below(3) if kind == 5 else 1
                line, there = 'fred-reverse-continue' + (' %d' % count if count > 1 else ''), here
                for _ in range(count):
                    there = there and self.backward(there)
            elif kind == 6 and len(states) > 1 and plan[-1][0] != 'fred-undo':
                line, there = 'fred-undo', states[-2]
            else:
                continue
            if there is not None:
                plan.append((line, there.at))
                states.append(there)
        return plan, [state.counted for state in states[1:]]


def run(command, **more):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, **more)


def trace_of(debugger, program, directory, names, lines=()):
    out = os.path.join(directory, 'trace')
    environment = dict(os.environ, TRACE_OUT=out, TRACE_GLOBALS=','.join(names), TRACE_SETUP=debugger.setup,
                       TRACE_LINES=json.dumps(list(lines)))
    done = run(debugger.trace(program), timeout=120, env=environment, cwd=directory)
    if done.returncode or not os.path.exists(out):
        raise Wrong('plain %s: %s' % (debugger.name, done.stdout[-2000:]))
    with open(out) as lines:
        return [json.loads(line) for line in lines]


def same(stop, element):
    return (os.path.basename(stop['file'] or ''), stop['line'], stop['function'], stop['depth']) == (
        element['file'], element['line'], element['function'], element['depth'])


def locals_of(debugger, output):
    found = {}
    for line in output.splitlines():
        variable = debugger.variable(line)
        # The innermost of a name comes first.
        if variable and variable[0] not in found:
            found[variable[0]] = variable[1]
    return found


def compare(debugger, plan, events, trace, counted):
    """How many facts agree."""
    given = [debugger.setup] + debugger.begin
    lines = [e for e in events if e['event'] == 'fred' or e['event'] == 'command' and e['line'] not in given]
    looks = [e for e in lines if e['event'] == 'command' and e['line'] in debugger.looks]
    moves = [e for e in lines if e not in looks]
    if len(moves) != len(plan):
        raise Wrong('%d commands were planned, %d were run' % (len(plan), len(moves)))
    count = 0
    for number, ((line, wanted), move) in enumerate(zip(plan, moves)):
        where = 'command %d, %s: ' % (number + 1, line)
        if move['event'] == 'fred' and not move['ok']:
            raise Wrong(where + move['error'] + ', not ' + str(wanted))
        stop = move['stop']
        if stop is None:
            raise Wrong(where + 'no stop')
        choices = [wanted] if isinstance(wanted, int) else sorted(wanted)
        fits = [index for index in choices if same(stop, trace[index])]
        if not fits:
            raise Wrong(where + 'stopped at %s, not at one of %s' % (
                stop, [(i, trace[i]['line'], trace[i]['function'], trace[i]['depth']) for i in choices][-6:]))
        size = len(debugger.looks)
        seen = {}
        for look in looks[size * number:size * number + size]:
            for name, value in locals_of(debugger, look['output']).items():
                seen.setdefault(name, value)
        known = [index for index in fits
                 if all(seen.get(name) == value for name, value in trace[index]['locals'].items())]
        if not known:
            raise Wrong(where + 'variables are %s, not %s' % (seen, trace[fits[-1]]['locals']))
        count += 1 + len(trace[known[-1]]['locals'])
        if counted:
            hits = debugger.hits(looks[size * number + size - 1]['output'])
            if hits != counted[number]:
                raise Wrong(where + 'breakpoints have counted %s, not %s' % (hits, counted[number]))
            count += len(hits)
    return count


def main():
    fred, name, seed, directory = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
    debugger = Lldb(name) if name.startswith('lldb') else Gdb(name)
    os.makedirs(directory, exist_ok=True)
    if len(sys.argv) > 5:
        source, names = os.path.abspath(sys.argv[5]), []
    else:
        source, names = os.path.join(directory, 'program.c'), GLOBALS
        with open(source, 'w') as out:
            out.write(Program(seed).text(4 if os.environ.get('ORACLE_KIND') == 'breakpoints' else 1))
    program = os.path.join(directory, 'program')
    compiler = 'g++' if source.endswith('.cc') else 'gcc'
    done = run([compiler, '-g', '-fwrapv'] + FLAGS + ['-o', program, source])
    if done.returncode:
        raise Wrong(done.stdout)
    trace = trace_of(debugger, program, directory, names)
    if len(trace) < 4:
        print('%d stops: too few to go anywhere' % len(trace))
        return
    if os.environ.get('ORACLE_KIND') == 'breakpoints':
        dice = Dice(seed + 2)
        chosen = Breakpoints.choose(trace, dice)
        lines = {plain: [line for number, one in enumerate(chosen, 1) for line in debugger.breakpoint(number, one, plain)]
                 for plain in (True, False)}
        model = Breakpoints(debugger, chosen, trace_of(debugger, program, directory, names, lines[True]), dice)
        model.check_forward(trace_of(debugger, program, directory, names, lines[False]))
        trace = model.trace
        plan, counted = model.make()
        debugger.begin = debugger.begin[:-2] + '\n'.join(lines[False]).split('\n') + ['run']
        debugger.looks = debugger.looks + [debugger.counting]
    else:
        plan, counted = Session(debugger, trace, Dice(seed + 1)).make(), None
    script = os.path.join(directory, 'session')
    with open(script, 'w') as out:
        out.write('\n'.join([debugger.setup] + debugger.begin) + '\n')
        for line, _ in plan:
            out.write('\n'.join([line] + debugger.looks) + '\n')
    events = os.path.join(directory, 'events')
    done = run([fred, '--batch', '--json', events, '-x', script, '--', debugger.name] + debugger.options + [program],
               timeout=240, env=dict(os.environ, TERM='dumb'), cwd=directory)
    with open(events) as lines:
        told = [json.loads(line) for line in lines]
    try:
        count = compare(debugger, plan, told, trace, counted)
    except Wrong:
        sys.stderr.write(done.stdout[-3000:])
        raise
    print('%d stops, %d facts' % (len(trace), count))


if __name__ == '__main__':
    try:
        main()
    except Wrong as wrong:
        sys.stderr.write('seed %s: %s\n' % (sys.argv[3], wrong))
        sys.exit(1)
