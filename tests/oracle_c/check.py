"""One session of the trace oracle for native programs: `python3 check.py FRED SEED DIR [PROGRAM.c|.cc]`.

The compiler's flags are those of ORACLE_FLAGS, `-O0` if there are none.

Makes a program from the seed (or takes one), has plain gdb step it from main to its end, and makes up a session of forward
and reverse moves. The trace alone says where each must lead; what fred's event stream says is compared with it.
Prints what is wrong and exits with 1, or how much was compared.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from genprog import Dice, Program  # noqa: E402

ACTIONS = 22
FLAGS = os.environ.get('ORACLE_FLAGS', '-O0').split()
OPTIMISED = '-O0' not in FLAGS
GLOBALS = ['counter', 'shape.b']
# Libraries without lines, whether a machine has debugging information for them or not.
SETUP = 'set debug-file-directory /none'


class Wrong(Exception):
    pass


class Session:
    """Makes up a session, with the index in the trace that each command leads to."""

    def __init__(self, trace, dice):
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
            return self.add('step %d' % n if n > 1 else 'step', k + n)
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


def trace_of(program, directory, names):
    out = os.path.join(directory, 'trace')
    environment = dict(os.environ, TRACE_OUT=out, TRACE_GLOBALS=','.join(names), TRACE_SETUP=SETUP)
    done = run(['gdb', '-batch', '-nx', '-x', os.path.join(HERE, 'trace.py'), '--args', program], timeout=120,
               env=environment, cwd=directory)
    if done.returncode:
        raise Wrong('plain gdb: ' + done.stdout[-2000:])
    with open(out) as lines:
        return [json.loads(line) for line in lines]


def same(stop, element):
    return (os.path.basename(stop['file'] or ''), stop['line'], stop['function'], stop['depth']) == (
        element['file'], element['line'], element['function'], element['depth'])


def locals_of(output):
    found = {}
    for line in output.splitlines():
        name, equals, value = line.partition(' = ')
        # The innermost of a name comes first.
        if equals and name not in found:
            found[name] = value
    return found


def compare(plan, events, trace):
    """How many facts agree."""
    moves = [e for e in events if e['event'] == 'fred' or e['event'] == 'command' and not e['line'].startswith('info')]
    moves = [e for e in moves if e['event'] == 'fred' or e['line'] not in ('break main', 'set confirm off', 'run', SETUP)]
    looks = [e for e in events if e['event'] == 'command' and e['line'].startswith('info')]
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
        seen = locals_of(looks[2 * number]['output'])
        seen.update(locals_of(looks[2 * number + 1]['output']))
        known = [index for index in fits
                 if all(seen.get(name) == value for name, value in trace[index]['locals'].items())]
        if not known:
            raise Wrong(where + 'variables are %s, not %s' % (seen, trace[fits[-1]]['locals']))
        count += 1 + len(trace[known[-1]]['locals'])
    return count


def main():
    fred, seed, directory = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    os.makedirs(directory, exist_ok=True)
    if len(sys.argv) > 4:
        source, names = os.path.abspath(sys.argv[4]), []
    else:
        source, names = os.path.join(directory, 'program.c'), GLOBALS
        with open(source, 'w') as out:
            out.write(Program(seed).text())
    program = os.path.join(directory, 'program')
    compiler = 'g++' if source.endswith('.cc') else 'gcc'
    done = run([compiler, '-g', '-fwrapv'] + FLAGS + ['-o', program, source])
    if done.returncode:
        raise Wrong(done.stdout)
    trace = trace_of(program, directory, names)
    if len(trace) < 4:
        print('%d stops: too few to go anywhere' % len(trace))
        return
    plan = Session(trace, Dice(seed + 1)).make()
    script = os.path.join(directory, 'session')
    with open(script, 'w') as out:
        out.write(SETUP + '\nset confirm off\nbreak main\nrun\n')
        for line, _ in plan:
            out.write('%s\ninfo locals\ninfo args\n' % line)
    events = os.path.join(directory, 'events')
    done = run([fred, '--batch', '--json', events, '-x', script, '--', 'gdb', '-q', '-nx', program], timeout=240, env=dict(os.environ, TERM='dumb'),
               cwd=directory)
    with open(events) as lines:
        told = [json.loads(line) for line in lines]
    try:
        count = compare(plan, told, trace)
    except Wrong:
        sys.stderr.write(done.stdout[-3000:])
        raise
    print('%d stops, %d facts' % (len(trace), count))


if __name__ == '__main__':
    try:
        main()
    except Wrong as wrong:
        sys.stderr.write('seed %s: %s\n' % (sys.argv[2], wrong))
        sys.exit(1)
