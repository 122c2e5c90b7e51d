"""Run by plain lldb: `lldb -b -o 'command script import trace_lldb.py' PROGRAM`, with TRACE_OUT in the environment.

Writes what `trace.py` writes under gdb: every stop from main to the end of main, stepped once, or those at breakpoints.
"""
import json
import os

import lldb

LIMIT = 2000
GLOBALS = [name for name in os.environ.get('TRACE_GLOBALS', '').split(',') if name]
LINES = json.loads(os.environ.get('TRACE_LINES') or '[]')
NUMBERS = (lldb.eTypeClassBuiltin, lldb.eTypeClassEnumeration)


def frames(thread):
    """The program's frames, innermost first; main is the last."""
    found = []
    for frame in thread:
        found.append(frame)
        if frame.GetFunctionName() == 'main':
            return found
    return None


def variables(frame):
    """Name to text of the numbers among the variables of a frame; the first of a name counts."""
    found = {}
    for value in frame.GetVariables(True, True, False, True):
        # At a breakpoint there may be some that are not set yet.
        if LINES and value.GetDeclaration().GetLine() >= frame.GetLineEntry().GetLine():
            continue
        if value.GetName() not in found and value.GetType().GetCanonicalType().GetTypeClass() in NUMBERS:
            if value.GetValue() is not None:
                found[value.GetName()] = value.GetValue()
    return found


def stop(thread):
    stack = frames(thread)
    if stack is None:
        return None
    entry = stack[0].GetLineEntry()
    return {
        'file': entry.GetFileSpec().GetFilename() if entry.IsValid() else None,
        'line': entry.GetLine() if entry.IsValid() else None,
        'function': stack[0].GetFunctionName(),
        'depth': len(stack),
        'pc': stack[0].GetPC(),
        'start': entry.GetStartAddress().GetLoadAddress(thread.GetProcess().GetTarget()) == stack[0].GetPC(),
        'locals': variables(stack[0]),
        'globals': {name: stack[-1].GetValueForVariablePath(name).GetValue() or
                    stack[-1].EvaluateExpression(name).GetValue() for name in GLOBALS},
    }


def run(debugger):
    def do(line):
        result = lldb.SBCommandReturnObject()
        debugger.GetCommandInterpreter().HandleCommand(line, result)
        if not result.Succeeded():
            raise SystemExit('%s: %s' % (line, result.GetError()))

    debugger.SetAsync(False)
    if os.environ.get('TRACE_SETUP'):
        do(os.environ['TRACE_SETUP'])
    for line in LINES or ['breakpoint set --name main']:
        do(line)
    do('process launch -i /dev/null -o /dev/null')
    if not LINES:
        do('breakpoint delete -f')
    process = debugger.GetSelectedTarget().GetProcess()
    with open(os.environ['TRACE_OUT'], 'w') as out:
        for _ in range(LIMIT):
            here = stop(process.GetSelectedThread())
            if here is None:
                break
            if LINES:
                points = debugger.GetSelectedTarget().breakpoint_iter()
                here['hits'] = {str(point.GetID()): point.GetHitCount() for point in points}
            out.write(json.dumps(here) + '\n')
            if LINES:
                process.Continue()
            else:
                process.GetSelectedThread().StepInto()
            if process.GetState() != lldb.eStateStopped:
                break
        else:
            raise SystemExit('the program makes too many stops')
    if process.GetState() == lldb.eStateStopped:
        process.Kill()


run(lldb.debugger)
