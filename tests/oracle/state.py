"""Where a program that waits at a pdb prompt is, in one line of text: the question that the trace oracle asks.

Run with nothing but `sys` at hand, in the process that is looked at, so that asking changes nothing there. The text
has the event, the depth, the place, the simple local variables of the running frame, and a number for the whole stack
with all its simple variables.
"""
import sys

SIMPLE = (int, str, float, bool, type(None))


def is_simple(value):
    if type(value) in (list, tuple):
        return len(value) < 30 and all([is_simple(v) for v in value])
    if type(value) is dict:
        return len(value) < 30 and all([is_simple(k) and is_simple(value[k]) for k in value])
    return type(value) in SIMPLE


def simple_locals(frame):
    """Those that do not depend on how the place was reached: 3.12 shows names of comprehensions (k1) or not."""
    names = frame.f_locals
    return {n: names[n] for n in list(names) if n[:2] != '__' and n[0] not in '.k' and is_simple(names[n])}


def stopped():
    """The event at which the debugger waits, the frame and line there, and the program's frames, innermost first.

    After the program's end the frame is one of what had run it, and no frame of the program is left.
    """
    frame = sys._getframe()
    while frame is not None:
        name = frame.f_code.co_name
        if name == 'trace_dispatch':
            here = frame.f_locals['frame']
            return frame.f_locals['event'], (here, here.f_lineno), program_frames(here)
        if name == 'interaction' and frame.f_locals.get('frame') is None:
            pdb = frame.f_locals['self']
            return 'post-mortem', pdb.stack[-1], dead_frames(pdb)
        frame = frame.f_back
    raise LookupError('no prompt')


def is_runner(frame):
    return frame.f_code.co_name == 'run' and 'bdb' in frame.f_code.co_filename


def program_frames(frame):
    frames = []
    while frame is not None and not is_runner(frame):
        frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    if frames and frames[-1][0].f_code.co_filename == '<string>':
        frames.pop()
    return frames


def dead_frames(pdb):
    frames = []
    for frame, line in reversed(pdb.stack):
        if is_runner(frame):
            break
        frames.append((frame, line))
    if frames and frames[-1][0].f_code.co_filename == '<string>':
        frames.pop()
    return frames


def text_of(event, here, frames):
    whole = []
    for frame, line in frames:
        names = simple_locals(frame)
        text = ', '.join(['%s=%r' % (n, names[n]) for n in sorted(names)])
        whole.append('%s:%d:%d:%s' % (frame.f_code.co_name, line or 0, frame.f_lasti, text))
    number = int.from_bytes('\n'.join(whole).encode('utf-8', 'replace'), 'little') % 0xf3a5c1d7e94b2806f
    place = '%s:%s' % (here[0].f_code.co_name, here[1])
    return '%s %d %s #%x' % (event, len(frames), whole[0] if whole else place, number)


def describe():
    return text_of(*stopped())
