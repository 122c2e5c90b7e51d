"""Run by plain gdb: `gdb -batch -nx -x trace.py --args PROGRAM`, with TRACE_OUT in the environment.

Steps the program from main to its end once and writes every stop as a line of JSON: file, line, function, depth (main is
1), and the variables of all the program's frames that are numbers. The trace ends where the program leaves main.

With lines that set breakpoints in TRACE_LINES the program goes from one to the next instead, and what each of them has
counted is written, too.
"""
import json
import os
import re

import gdb

LIMIT = 2000


def frames():
    """The program's frames, innermost first; main is the last."""
    found = []
    frame = gdb.newest_frame()
    while frame is not None and frame.is_valid():
        found.append(frame)
        if frame.name() == 'main':
            return found
        frame = frame.older()
    return None


def variables():
    """Name to text of the numbers among the variables that gdb shows in the innermost frame; the first of a name counts, as in
    `check.py`. Optimised code has some twice, and gdb's blocks are not in the order in which it shows them."""
    found = {}
    for look in ('info locals', 'info args'):
        for line in gdb.execute(look, to_string=True).splitlines():
            variable = re.match(r'(\w+) = (-?\d+|[A-Za-z_]\w*|<optimized out>)$', line)
            if variable and variable.group(1) not in found:
                found[variable.group(1)] = variable.group(2)
    return found


def stop():
    stack = frames()
    if stack is None:
        return None
    here = stack[0].find_sal()
    return {
        'file': os.path.basename(here.symtab.filename) if here.symtab else None,
        'line': here.line,
        'function': stack[0].name(),
        'depth': len(stack),
        'pc': stack[0].pc(),
        'start': here.pc == stack[0].pc(),
        'locals': variables(),
        'globals': {name: str(gdb.parse_and_eval(name)) for name in GLOBALS},
    }


def advance():
    gdb.execute('continue' if LINES else 'step', to_string=True)
    return gdb.selected_inferior().pid


GLOBALS = [name for name in os.environ.get('TRACE_GLOBALS', '').split(',') if name]
LINES = json.loads(os.environ.get('TRACE_LINES') or '[]')
gdb.execute('set confirm off')
gdb.execute('set pagination off')
if os.environ.get('TRACE_SETUP'):
    gdb.execute(os.environ['TRACE_SETUP'])
for line in LINES or ['break main']:
    gdb.execute(line, to_string=True)
gdb.execute('run > /dev/null', to_string=True)
if not LINES:
    gdb.execute('delete')
with open(os.environ['TRACE_OUT'], 'w') as out:
    for _ in range(LIMIT):
        here = stop()
        if here is None:
            break
        if LINES:
            here['hits'] = {str(point.number): point.hit_count for point in gdb.breakpoints()}
        out.write(json.dumps(here) + '\n')
        if not advance():
            break
    else:
        raise SystemExit('the program makes too many stops')
gdb.execute('kill') if gdb.selected_inferior().pid else None
