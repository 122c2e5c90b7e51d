"""Generators, yield from, comprehensions, and a generator that outlives a loop."""
def count(n):
    for i in range(n):
        got = yield i
        if got:
            break
    return n

def chain(n):
    last = yield from count(n)
    yield last

def first(n):
    for v in chain(n):
        if v == 1:
            return v

def send(g):
    next(g)
    try:
        g.send(True)
    except StopIteration as e:
        return e.value

t = sum(chain(2))
t += first(3)
g = count(3)
t += next(g)
t += send(count(4))
t += next(g)
try:
    g.throw(KeyError('x'))
except KeyError:
    t += 1
squares = [v * v for v in count(3)]
pairs = {k: [v for v in range(k)] for k in range(2)}
it = iter(chain(1))
del it
print(t, squares, pairs)
