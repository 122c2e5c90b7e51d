"""Leaves by sys.exit from inside a call."""
import sys


def leave(n):
    try:
        if n == 0:
            sys.exit(3)
        leave(n - 1)
    finally:
        n += 1


t = 4
leave(2)
