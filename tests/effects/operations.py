# Operations with effects, as in c/; what they have learnt from chance is in `learnt`. There is no plain fork: where its parent is stepped,
# so is the child, and two debuggers read one terminal.
import fcntl, mmap, os, random, select, shutil, signal, socket, subprocess, tempfile, time, zlib

learnt = {}
told = {}
kept = {}


def learn(i, more=b''):
    told = repr((time.time(), os.urandom(4), more)).encode()
    learnt[i] = zlib.crc32(told, learnt.get(i, 0))


def put(name, text):
    with open(name, 'a') as file:
        file.write(text)


def look(name):
    with open(name, 'rb') as file:
        return zlib.crc32(file.read())


def is_over(i, what, result):
    told[i] = learnt.get(i)
    print('out:', i, what, result, flush=True)


def op_append(i):
    put('log', 'line %d\n' % i)
    put('log', 'more\n')
    return look('log')


def op_buffered(i):
    with open('buffered%d' % i, 'w+b') as file:
        file.write(b'one ')
        file.write(b'two')
        file.seek(2)
        file.write(b'X')
        file.flush()
        file.truncate(6)
        file.seek(0)
        return file.read()


def op_pwrite(i):
    file = os.open('table', os.O_RDWR | os.O_CREAT, 0o644)
    os.pwrite(file, b'cell', 10 * i)
    os.pwritev(file, [b'a', b'b'], 10 * i + 6)
    got = os.pread(file, 8, 10 * i)
    os.close(file)
    return got


def op_truncate(i):
    put('short', 'a rather long text')
    os.truncate('short', 5)
    with open('short', 'r+') as file:
        file.truncate(3)
    return os.stat('short').st_size


def op_rename(i):
    put('from', 'moved')
    os.rename('from', 'to%d' % i)
    put('from', 'replaces')
    os.replace('from', 'to%d' % i)
    return look('to%d' % i), os.path.exists('from')


def op_unlink(i):
    put('gone', 'x')
    file = open('gone')
    os.unlink('gone')
    try:
        os.unlink('gone')
        again = None
    except FileNotFoundError as error:
        again = error.errno
    got = file.read()
    file.close()
    return again, got


def op_folders(i):
    os.makedirs('folder%d/inner' % i)
    os.mkdir('folder%d/removed' % i)
    put('folder%d/file' % i, 'in it')
    os.rmdir('folder%d/removed' % i)
    try:
        os.mkdir('folder%d' % i)
    except FileExistsError as error:
        return error.errno, sorted(os.listdir('folder%d' % i))


def op_tree(i):
    os.makedirs('tree%d/a/b' % i)
    put('tree%d/a/f' % i, 'f')
    shutil.copytree('tree%d' % i, 'copied%d' % i)
    shutil.rmtree('tree%d' % i)
    return sorted(name for _, names, files in os.walk('copied%d' % i) for name in names + files)


def op_links(i):
    os.symlink('nowhere', 'link%d' % i)
    put('linked', 'x')
    os.link('linked', 'hard%d' % i)
    put('hard%d' % i, 'y')
    return os.readlink('link%d' % i), os.stat('linked').st_nlink


def op_modes(i):
    put('mode%d' % i, '')
    os.chmod('mode%d' % i, 0o751)
    os.utime('mode%d' % i, (1000, 2000 + i))
    found = os.stat('mode%d' % i)
    return found.st_mode, found.st_mtime


def op_sendfile(i):
    put('source', '0123456789')
    with open('source', 'rb') as source, open('sent%d' % i, 'wb', 0) as sent:
        count = os.sendfile(sent.fileno(), source.fileno(), 2, 5)
        sent.write(b'|')
    with open('source', 'rb') as source, open('copy%d' % i, 'wb', 0) as copy:
        count += 10 * os.copy_file_range(source.fileno(), copy.fileno(), 4)
        copy.write(b'|')
    return count


def op_mapped(i):
    with open('mapped%d' % i, 'w+b') as file:
        file.truncate(4096)
        with mmap.mmap(file.fileno(), 4096) as memory:
            memory[0:5] = b'bytes'
            memory.flush()
            memory[10] = 65
            got = os.pread(file.fileno(), 12, 0)
    return got


def op_locks(i):
    with open('locked', 'a') as file, open('locked', 'a') as other:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
            found = None
        except OSError as error:
            found = error.errno
        fcntl.flock(file, fcntl.LOCK_UN)
        fcntl.flock(other, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, i)
        file.write('L')
    return found


def op_stream(i):
    if 'stream' not in kept:
        kept['stream'] = open('stream', 'w+')
    kept['stream'].write('entry %d\n' % i)
    kept['stream'].flush()
    return kept['stream'].tell()


def op_sync(i):
    with open('synced%d' % i, 'w') as file:
        file.write('a')
        file.flush()
        os.fsync(file.fileno())
        os.posix_fallocate(file.fileno(), 0, 10)
    return os.stat('synced%d' % i).st_size


def op_pipe(i):
    r, w = os.pipe()
    os.write(w, b'piped')
    got = os.read(r, 2) + os.read(r, 9)
    os.close(w)
    got += os.read(r, 9) + b'.'
    os.close(r)
    return got


def op_temporary(i):
    with tempfile.NamedTemporaryFile(dir='.', delete=False) as file:
        file.write(b'temporary')
        learn(i, file.name.encode())
    os.rename(file.name, 'temporary%d' % i)
    with tempfile.TemporaryFile(dir='.') as file:
        file.write(b'nameless')
        return file.tell()


def op_chance(i):
    learn(i)
    random.seed()
    learn(i, str(random.random()).encode())
    put('chances', '.')


def tell(peer, text):
    peer.sendall(text.encode() + b'\n')
    return peer.recv(100)


def tcp():
    return socket.create_connection(('127.0.0.1', int(os.environ['TCP_PORT'])))


def stream():
    peer = socket.socket(socket.AF_UNIX)
    peer.connect('../peer/stream')
    return peer


def op_tcp(i):
    with tcp() as peer:
        got = tell(peer, 'say %d' % i) + tell(peer, 'more %d' % i)
        peer.shutdown(socket.SHUT_WR)
        return got + peer.recv(10)


def op_tcp_kept(i):
    if 'peer' not in kept:
        kept['peer'] = tcp()
    ready = select.select([kept['peer']], [kept['peer']], [], 0)
    return [len(part) for part in ready], tell(kept['peer'], 'kept %d' % i)


def op_chance_of_a_peer(i):
    with tcp() as peer:
        learn(i, tell(peer, 'chance'))


def op_called_back(i):
    with socket.create_server(('127.0.0.1', 0)) as listener, tcp() as peer:
        got = tell(peer, 'call %d' % listener.getsockname()[1])
        client, _ = listener.accept()
        with client:
            return got + client.recv(100) + tell(client, 'accepted %d' % i)


def op_udp(i):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.sendto(b'datagram %d' % i, ('127.0.0.1', int(os.environ['UDP_PORT'])))
        return peer.recvfrom(100)[0]


def op_unix_stream(i):
    with stream() as peer:
        return tell(peer, 'say %d' % i)


def op_unix_datagrams(i):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind('../work/own%d' % i)
        peer.connect('../peer/datagrams')
        got = tell(peer, 'datagram %d' % i)
    os.unlink('own%d' % i)
    return got


def op_packets(i):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as peer:
        peer.connect('../peer/packets')
        return tell(peer, 'packet %d' % i), tell(peer, 'next %d' % i)


def op_given_away(i):
    with stream() as peer, open('given%d' % i, 'ab', 0) as file:
        file.write(b'ours\n')
        peer.sendmsg([b'take\n'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, file.fileno().to_bytes(4, 'little'))])
        got = peer.recv(100)
        file.write(b'ours again\n')
    return got, look('given%d' % i)


def op_taken_over(i):
    with stream() as peer:
        peer.sendall(b'give taken%d\n' % i)
        got, control, _, _ = peer.recvmsg(100, socket.CMSG_SPACE(4))
        file = int.from_bytes(control[0][2], 'little')
        os.write(file, b'by us\n')
        os.close(file)
    return got, look('taken%d' % i)


def op_socket_pair(i):
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b'to and')
        other.sendall(b'fro')
        return other.recv(9), one.recv(9)


def op_epoll(i):
    with stream() as peer, select.epoll() as poll:
        poll.register(peer, select.EPOLLIN)
        before = poll.poll(0)
        peer.sendall(b'say epoll\n')
        after = [event for _, event in poll.poll(5)]
        return before, after, peer.recv(100), poll.poll(0)


def op_run(i):
    done = subprocess.run(['sh', '-c', 'echo run >> children; echo told; exit 3'], stdout=subprocess.PIPE)
    return done.returncode, done.stdout


def op_two_ways(i):
    done = subprocess.run(['sort'], input=b'b\na\n', stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    put('sorted', done.stdout.decode())
    return done.returncode, done.stdout, done.stderr


def op_time_of_a_child(i):
    learn(i, subprocess.check_output(['date', '+%N']))
    put('parent', 'date\n')


def op_system(i):
    return os.system('echo system >> children; exit %d' % (i % 5))


def op_spawn(i):
    return os.spawnlp(os.P_WAIT, 'mkdir', 'mkdir', 'spawned%d' % i)


def op_terminated(i):
    child = subprocess.Popen(['sh', '-c', 'echo ready; exec sleep 60'], stdout=subprocess.PIPE)
    with child.stdout:
        ready = child.stdout.readline()
        child.terminate() if i % 2 else child.kill()
        put('parent', 'ends it\n')
        return ready, child.wait()


def op_signals_to_a_child(i):
    script = "trap 'echo usr1 >> children; exit 4' USR1; echo ready; while :; do sleep 0.01; done"
    child = subprocess.Popen(['sh', '-c', script], stdout=subprocess.PIPE)
    with child.stdout:
        ready = child.stdout.readline()
        child.send_signal(signal.SIGUSR1)
        return ready, child.wait()


def op_child_for_long(i):
    if 'child' not in kept:
        kept['child'] = subprocess.Popen(['sh', '-c', 'cat >> children; exit 6'], stdin=subprocess.PIPE)
        return 'begins'
    child = kept.pop('child')
    child.stdin.write(b'to the end\n')
    child.stdin.close()
    return child.wait()
