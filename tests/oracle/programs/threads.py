"""Other threads that work while the main one waits for them, one after the other, and one that waits all the time."""
import _thread

results = []
forever = _thread.allocate_lock()
forever.acquire()


def work(n, go, done):
    go.acquire()
    total = 0
    for i in range(n):
        total += i
    results.append(total)
    done.release()


def idle(lock):
    lock.acquire()


_thread.start_new_thread(idle, (forever,))
t = 0
for n in (3, 5, 7):
    go, done = _thread.allocate_lock(), _thread.allocate_lock()
    go.acquire(), done.acquire()
    _thread.start_new_thread(work, (n, go, done))
    go.release(), done.acquire()
    t += results[-1]
print(t, results)
