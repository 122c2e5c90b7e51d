"""Recursion, generators, comprehensions, closures, decorators, classes, `with` and callbacks from C in one program."""


def traced(function):
    calls = []

    def wrapper(*arguments):
        calls.append(arguments)
        return function(*arguments)

    wrapper.calls = calls
    return wrapper


@traced
def fib(n):
    if n < 2:
        return n
    return fib(n - 1) + fib(n - 2)


class Guard:
    depth = 0

    def __enter__(self):
        self.depth += 1
        return self

    def __exit__(self, kind, value, tb):
        self.depth -= 1
        return kind is KeyError

    def __lt__(self, other):
        return self.depth < other.depth


def tree(n):
    if n:
        yield from tree(n - 1)
        yield n
        yield from tree(n - 1)


def echo():
    got = None
    while True:
        got = yield got
        if got == 0:
            return


def coroutine():
    source = echo()
    next(source)
    seen = [source.send(k) for k in (1, 2, 3)]
    try:
        source.send(0)
    except StopIteration:
        seen.append('end')
    return seen


def nested(n):
    t = 0
    for i in range(n):
        for j in range(i):
            if j == 1:
                continue
            t += i * j
        else:
            t += 1
        if t > 8:
            break
    return t


def guarded(t):
    with Guard() as g:
        t += g.depth
        {}[t]
    try:
        try:
            raise ValueError(t)
        except ValueError as e:
            raise RuntimeError from e
    except RuntimeError:
        t += 1
    finally:
        t += 2
    return t


t = fib(4)
t += sum(tree(3))
t += len(coroutine())
t += nested(5)
t = guarded(t)
t += sum([k * k2 for k in range(2) for k2 in range(2)])
t += max([3, 1, 2], key=lambda v: v % 3)
ordered = sorted([Guard(), Guard()])
t += len(list(map(lambda v: v + 1, filter(None, [0, 1, 2]))))
print(t)
