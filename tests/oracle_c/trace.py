"""Run by plain gdb: `gdb -batch -nx -x trace.py --args PROGRAM`, with TRACE_OUT in the environment.

Steps the program from main to its end once and writes every stop as a line of JSON: file, line, function, depth (main is
1), and the variables of all the program's frames that are numbers. The trace ends where the program leaves main.

With lines that set breakpoints in TRACE_LINES the program goes from one to the next instead, and what each of them has
counted is written, too.
"""
import json
import os

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


def variables(frame):
    """Name to text of the numbers among the variables of a frame; the innermost of a name counts."""
    found = {}
    try:
        block = frame.block()
    except RuntimeError:
        return found
    while block is not None:
        for symbol in block:
            if (symbol.is_variable or symbol.is_argument) and symbol.name not in found:
                kind = symbol.type.strip_typedefs()
                if kind.code in (gdb.TYPE_CODE_INT, gdb.TYPE_CODE_BOOL, gdb.TYPE_CODE_ENUM):
                    try:
                        found[symbol.name] = str(symbol.value(frame))
                    except (gdb.error, gdb.MemoryError):
                        pass
        if block.function is not None:
            return found
        block = block.superblock
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
        'locals': variables(stack[0]),
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
