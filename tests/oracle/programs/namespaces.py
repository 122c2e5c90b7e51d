"""Functions whose namespace has no builtins: the constructor of a named tuple, and one of our own."""
from collections import namedtuple

Pair = namedtuple('Pair', 'left right')
bare = {'__builtins__': {}, 'noted': []}
exec(compile('def add(a, b):\n    c = a + b\n    noted.append(c)\n    return c\n', __file__ + '.bare', 'exec'), bare)

total = 0
for turn in range(4):
    pair = Pair(turn, turn * turn)
    total += bare['add'](*pair)
    if total % 2:
        pair = pair._replace(left=total)
print(total, pair, bare['noted'])
