"""Threads that read clocks and random bytes and write to a file, each a few hundred times, under a lock and without."""
import os
import threading
import time

seen = []
lock = threading.Lock()
out = os.open('lines', os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
noise = os.open('/dev/urandom', os.O_RDONLY)


def note(me, i):
    now = time.time_ns()
    chance = int.from_bytes(os.read(noise, 8), 'little')
    os.write(out, b'%d %d\n' % (me, i))
    with lock:
        seen.append((now + chance) % 1000003)


def work(me):
    for i in range(200):
        note(me, i)


threads = [threading.Thread(target=work, args=(me,)) for me in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
last = seen[-1]
end = 1
