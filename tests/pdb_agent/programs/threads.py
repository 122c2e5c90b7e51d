"""Threads that wait and work while the main thread is traced."""
import _thread

lock = _thread.allocate_lock()
done = _thread.allocate_lock()
lock.acquire()
done.acquire()
# Not shown among the locals, since when the thread runs is not ours to say.
seen = type('Seen', (list,), {})()

def worker():
    lock.acquire()
    for i in range(50):
        seen.append(i)
    done.release()

_thread.start_new_thread(worker, ())
t = 0
for i in range(3):
    t += i
lock.release()
done.acquire()
t += len(seen)
print(t)
