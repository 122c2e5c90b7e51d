"""Closures, recursion, classes with properties, callbacks from C."""
def counter():
    total = 0
    def add(n):
        nonlocal total
        total += n
        return total
    return add

class Tree:
    def __init__(self, value, kids=()):
        self.value = value
        self.kids = list(kids)

    def __lt__(self, other):
        return self.value < other.value

    @property
    def weight(self):
        return self.value + sum(k.weight for k in self.kids)

def fib(n):
    if n < 2: return n
    return fib(n - 1) + fib(n - 2)

add = counter()
for k in sorted([3, 1, 2], key=lambda v: -add(v)):
    add(k)
trees = sorted([Tree(2), Tree(1, [Tree(4)])])
weight = max(map(lambda t: t.weight, trees))
f = fib(4)
print(add(0), weight, f)
