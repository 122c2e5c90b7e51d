"""Explicit breakpoints in the program, which make debugger instances of their own."""
import pdb

def work(n):
    t = 0
    for i in range(n):
        t += i
        if i == 2:
            pdb.set_trace()
    return t

a = work(2)
b = work(5)
c = work(3)
print(a, b, c)
