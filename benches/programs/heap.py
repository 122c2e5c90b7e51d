"""A process of a given size (megabytes) that waits for lines; with a second argument it times fork() in itself instead."""
import os
import sys
import time

heap = [bytearray(b'x') * (1 << 20) for _ in range(int(sys.argv[1]))]
if len(sys.argv) > 2:
    for _ in range(int(sys.argv[2])):
        begin = time.perf_counter()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        elapsed = time.perf_counter() - begin
        os.waitpid(pid, 0)
        print(elapsed * 1000)
    sys.exit()
while True:
    sys.stdin.readline()
