"""One session of the trace oracle for native programs: `python3 check.py FRED DEBUGGER SEED DIR [PROGRAM.c|.cc]`.

DEBUGGER is gdb or one of lldb's names (lldb-16). The compiler's flags are those of ORACLE_FLAGS, `-O0` if there are none.

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

    def back(self, wanted):
        """The last element before this one for which `wanted` holds."""
        for index in range(self.here() - 1, -1, -1):
            if wanted(index):
                return index
        return None

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
        k = self.here()
        kind = self.dice.below(6)
        if kind in (0, 1):
            index = k - 1 if k > 0 else None
            line = 'fred-reverse-step'
        elif kind in (2, 3):
            index = self.back(lambda j: self.depth(j) <= self.depth(k))
            line = 'fred-reverse-next'
        elif kind == 4:
            index = self.back(lambda j: self.depth(j) < self.depth(k))
            line = 'fred-reverse-finish'
        else:
            return self.watch()
        if index is not None:
            self.add(line, index)

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


def run(command, **more):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          universal_newlines=True, **more)


def trace_of(debugger, program, directory, names):
    out = os.path.join(directory, 'trace')
    environment = dict(os.environ, TRACE_OUT=out, TRACE_GLOBALS=','.join(names), TRACE_SETUP=debugger.setup)
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


def compare(debugger, plan, events, trace):
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
    plan = Session(debugger, trace, Dice(seed + 1)).make()
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
        count = compare(debugger, plan, told, trace)
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
