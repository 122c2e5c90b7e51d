"""Ends with an exception that nobody catches."""


class Wrong(Exception):
    pass


def inner(n):
    if n == 0:
        raise Wrong('at the bottom')
    return inner(n - 1)


def outer(n):
    t = n
    try:
        inner(n)
    except ValueError:
        t = -1
    finally:
        t += 10
    return t


t = 1
try:
    outer(1)
except Wrong as e:
    t = 2
outer(2)
