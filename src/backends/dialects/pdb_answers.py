# --- answering ---------------------------------------------------------------------------------------------------

def start(pdb, event, frame):
    """Begins a pass, which replies itself."""
    what = request['do']
    if what in ('count', 'hop'):
        command = request.get('command')
        if command is None:
            command = resumption(pdb)
        if what == 'count':
            Count(pdb, event, frame)
        else:
            Hop(pdb)
            write_reply({'hopped': False})
        pdb.cmdqueue = [command]
        return
    pdb.__dict__.pop(HOP, None)
    if what == 'others':
        Others(pdb, event, frame)
        return
    look = None
    if what == 'scan':
        look = ('breakpoints', True) if request.get('depth') is None else ('depth', request['depth'])
    elif what == 'run_to' and request.get('breakpoints'):
        look = ('breakpoints', False)
    if what == 'find':
        place = request['place']
        look = ('signature', (place['file'], place['function'], place['line'],
                              Moment(request['signature'])))
        if frame is not None and signature(pdb, event, frame) == request['signature']:
            write_reply({'n': 0, 'lost': False})
            return
        Steps(pdb, event, frame, request['limit'] + 1, look)
    elif request['n'] <= 0:
        write_reply({'n': 0, 'found': None})
    else:
        steps = Steps(pdb, event, frame, request['n'], look)
        if request.get('threads'):
            steps.enter = Gate(pdb).before(steps.enter)


def respond():
    pdb, event, frame = active()
    if pdb is None:
        raise LookupError('no pdb prompt is waiting')
    what = request['do']
    if what in ('count', 'hop', 'run_to', 'scan', 'find', 'others'):
        return start(pdb, event, frame)
    if what == 'leave':
        return leave(pdb)
    if what == 'where':
        fields = {'where': facts(pdb, event, frame)}
    elif what == 'eval':
        fields = evaluate(pdb, frame)
    elif what == 'settings':
        fields = {'settings': settings(pdb)}
    elif what == 'apply':
        apply(pdb, frame, request['settings'], request['keep_counts'])
        fields = {}
    elif what == 'complete':
        fields = {'matches': complete(pdb)}
    elif what == 'names':
        fields = {'names': [w for w in request['words'] if w in pdb.curframe_locals or w in pdb.curframe.f_globals]}
    elif what == 'signature':
        fields = {'signature': signature(pdb, event, frame)}
    elif what == 'settle':
        pdb.__dict__.pop(HOP, None)
        fields = {}
    else:
        raise LookupError('unknown request ' + what)
    write_reply(fields)


NAMES = globals()
request = read_request()
try:
    respond()
except BaseException as error:
    write_reply({'ok': False, 'error': describe(error)})
