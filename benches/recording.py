"""What recording costs: in sessions, each program to its end under fred and under the plain debugger by turns, and by itself
(`fred-ckpt replay-check`, against a plain run)."""
import json
import os
import subprocess
import tempfile
import time
from statistics import median

from terminal import Terminal

# What is run in a session, its argument, how often it makes its call, and the ratio that is promised.
SESSIONS = [
    ('compute', 'compute', 0, 1.02),
    ('100,000 clock reads', 'clocks', 100_000, 40),
    ('100,000 reads', 'reads', 100_000, 15),
    ('100,000 writes to a file', 'writes', 100_000, 15),
    ('100,000 reads and writes of a pipe', 'pipe', 100_000, 15),
    # Nobody promises anything of these: what a stop costs that does nothing, and what a call costs that is noted by two.
    ('100,000 calls with one stop', 'ids', 100_000, None),
    ('100,000 calls noted with two stops', 'counter', 100_000, None),
]


def to_the_end(argv, prompt, opening, folder):
    """Milliseconds of a `continue` from the first statement to the end of the program, and of the start; bytes that were noted."""
    before = os.getcwd()
    os.chdir(folder)
    log = os.path.join(folder, 'supervisor.log')
    try:
        terminal = Terminal(argv, prompt=prompt, env=dict(os.environ, FRED_SUPERVISOR_LOG=log))
    finally:
        os.chdir(before)
    try:
        for line in opening:
            terminal.say(line)
        spent = terminal.say('continue')[0]
        os.write(terminal.fd, b'quit\n')
        bytes_noted = noted(log) if 'fred' in os.path.basename(argv[0]) else 0
    finally:
        terminal.close()
    return spent, terminal.started * 1000, bytes_noted


def noted(log):
    """What the supervisor says at its end, which comes a little after its client's."""
    for _ in range(500):
        if os.path.exists(log):
            with open(log) as file:
                lines = [line for line in file if 'bytes noted: ' in line]
            if lines:
                os.unlink(log)
                return int(lines[-1].rsplit(' ', 1)[1])
        time.sleep(0.01)
    raise RuntimeError('the supervisor does not say what it has noted')


def by_turns(plain, ours, prompt, opening, folder, rounds):
    """Medians of both, and of their starts."""
    spent = {plain: [], ours: []}
    for _ in range(rounds):
        for argv, times in spent.items():
            times.append(to_the_end(list(argv), prompt, opening, folder))
    return [[median(column) for column in zip(*times)] for times in (spent[ours], spent[plain])]


def sessions(row, fred_argv, gdb, python, programs, sources, rounds):
    """Sessions that are recorded against the plain debugger."""
    with tempfile.TemporaryDirectory() as folder:
        def compiled(source, *flags):
            made = os.path.join(folder, os.path.basename(source)[:-2])
            subprocess.run(['gcc', '-g', '-O0', '-w', *flags, '-o', made, source], check=True)
            return made

        def measure(name, debugger, prompt, opening, limit, calls=0, compared='gdb'):
            ours, peer = by_turns(tuple(debugger), tuple(fred_argv(*debugger)), prompt, opening, folder, rounds)
            row('recorded session: %s' % name, ours[0], peer[0], limit and limit * peer[0], compared=compared)
            # Bytes in a millisecond are kilobytes in a second.
            row('recorded session: %s, notes' % name, ours[2] / ours[0], None, None, unit='kB/s')
            if calls:
                row('recorded session: %s, each' % name, (ours[0] - peer[0]) * 1000 / calls, None, None, unit='µs more')
            return ours[1], peer[1]

        program = compiled(os.path.join(programs, 'calls.c'))
        starts = None
        for name, word, calls, limit in SESSIONS:
            found = measure(name, [*gdb, program], b'(gdb) ', ['break main', 'run ' + word], limit, calls)
            starts = starts or found
        threads = compiled(os.path.join(programs, 'threads.c'), '-pthread')
        measure('three threads, 90,000 calls', [*gdb, threads], b'(gdb) ', ['break main', 'run'], None, 90_000)
        row('recorded session: first prompt of gdb', starts[0], starts[1], starts[1] + 50, compared='gdb')
        server = compiled(os.path.join(sources, 'web_server.c'), '-pthread')
        measure('web server, 2,000 requests', [*gdb, server], b'(gdb) ', ['break main', 'run'], None)
        # The driver of the compiler only starts the compiler, as a child, and children are not recorded.
        compiler = subprocess.run(['gcc', '-print-prog-name=cc1'], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
        # It has no symbols.
        run = 'starti -quiet -O2 -w -o /dev/null %s' % os.path.join(sources, 'web_server.c')
        measure('gcc (cc1)', [*gdb, compiler], b'(gdb) ', [run], 3)
        loop = os.path.join(programs, 'loop.py')
        # Without breakpoints, so that pdb does not trace.
        starts = measure('Python loop', [python, '-m', 'pdb', loop], b'(Pdb) ', [], 1.1, compared='pdb')
        row('recorded session: first prompt of pdb', starts[0], starts[1], starts[1] + 50, compared='pdb')


def by_itself(row, root, rounds):
    """The recorder alone."""
    command = ['cargo', 'bench', '-q', '-p', 'fred-checkpointer', '--bench', 'recording', '--', str(rounds)]
    output = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    for line in output.decode().splitlines():
        found = json.loads(line)
        plain, limit = found['plain_ms'], found['limit']
        if limit is not None and not found['program'].startswith('start'):
            limit *= plain
        row('recorder: %s' % found['program'], found['recorded_ms'], plain, limit, compared='by itself')
        row('recorder: %s, replayed' % found['program'], found['replayed_ms'], plain, None, compared='by itself')
        row('recorder: %s, log' % found['program'], found['log_kb_per_s'], None, None, unit='kB/s')
