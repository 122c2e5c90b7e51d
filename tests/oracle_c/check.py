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

    def __init__(self, name):
        self.name = name

    def trace(self, program):
        return [self.name, '-batch', '-nx', '-x', os.path.join(HERE, 'trace.py'), '--args', program]

    def between_breakpoints(self, lines):
        """Sets the session up to go between breakpoints that are set with these lines."""
        self.begin = ['set confirm off'] + lines + ['run']
        self.looks = self.looks + ['info breakpoints']
        return lines

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

    def __init__(self, name):
        self.name = name

    def trace(self, program):
        script = os.path.join(HERE, 'trace_lldb.py')
        return [self.name, '-b', '-x', '-o', 'command script import ' + script, program]

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
            count = 2 + self.dice.below(2)
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


class Breakpoints:
    """Makes up a session that goes between breakpoints of gdb. The trace has their stops."""

    def __init__(self, trace, dice):
        self.trace = trace
        self.last = len(trace) - 1
        self.dice = dice
        trace[0]['by'] = [number for number, count in trace[0]['hits'].items() if count]
        for one in range(self.last):
            trace[one + 1]['by'] = self.passed(one, one + 1)

    @staticmethod
    def lines(trace, dice):
        """Lines that set breakpoints where a step has stopped, one of them with a condition."""
        places = [dice.pick([(stop['file'], stop['line']) for stop in trace if stop['file']]) for _ in range(3)]
        names = sorted(trace[0]['globals'])
        condition = '%s %% %d == 0' % (dice.pick(names), 2 + dice.below(3)) if names else '1'
        return ['break main', 'break %s:%d' % places[0], 'break %s:%d' % places[1],
                'break %s:%d if %s' % (places[2] + (condition,))]

    def make(self):
        """The plan, and what the breakpoints have counted after each command."""
        plan, at, counted = [], [0], [self.trace[0]['hits']]
        while len(plan) < ACTIONS and self.last > 0:
            kind, here = self.dice.below(8), at[-1]
            if kind < 3 and here < self.last:
                plan.append(('continue', here + 1))
                counted.append(self.more(counted[-1], self.passed(here, here + 1)))
            elif kind < 6 and here > 0:
                count = 1 + self.dice.below(min(here, 3)) if kind == 5 else 1
                plan.append(('fred-reverse-continue' + (' %d' % count if count > 1 else ''), here - count))
                # As in gdb, a hit is a hit, whichever way the program went.
                counted.append(self.more(counted[-1], self.trace[here - count]['by']))
            elif kind == 6 and len(at) > 1 and plan[-1][0] != 'fred-undo':
                plan.append(('fred-undo', at[-2]))
                counted.append(counted[-2])
            else:
                continue
            at.append(plan[-1][1])
        return plan, counted[1:]

    def passed(self, one, other):
        """Breakpoints that count on the way from a stop to a later one, as often as they do."""
        before, after = self.trace[one]['hits'], self.trace[other]['hits']
        return [number for number in after for _ in range(after[number] - before[number])]

    @staticmethod
    def more(counted, numbers):
        return {number: count + numbers.count(number) for number, count in counted.items()}


def hits_of(output):
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


def run(command, **more):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, **more)


def trace_of(debugger, program, directory, names, lines=()):
    out = os.path.join(directory, 'trace')
    environment = dict(os.environ, TRACE_OUT=out, TRACE_GLOBALS=','.join(names), TRACE_SETUP=debugger.setup,
                       TRACE_LINES='\n'.join(lines))
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
            seen.update(locals_of(debugger, look['output']))
        known = [index for index in fits
                 if all(seen.get(name) == value for name, value in trace[index]['locals'].items())]
        if not known:
            raise Wrong(where + 'variables are %s, not %s' % (seen, trace[fits[-1]]['locals']))
        count += 1 + len(trace[known[-1]]['locals'])
        if counted:
            hits = hits_of(looks[size * number + size - 1]['output'])
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
            out.write(Program(seed).text())
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
        lines = debugger.between_breakpoints(Breakpoints.lines(trace, dice))
        trace = trace_of(debugger, program, directory, names, lines)
        plan, counted = Breakpoints(trace, dice).make()
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
