"""Makes random Python programs for the trace oracle: `python3 genprog.py SEED [BUDGET]` prints one.

The same seed gives the same text on every Python (no module decides anything here). A program ends by itself within
about BUDGET stops of `step` (300 if left out): the cost of every statement is estimated while it is written, and only
what still fits is written. It has loops, calls, recursion, generators, comprehensions, exceptions, classes, closures,
callbacks from C, `with`, and conditions; it imports nothing and prints what it computed.
"""
import sys


class Dice:
    """A small linear congruential generator: the same on every version of Python."""

    def __init__(self, seed):
        self.state = (seed * 2862933555777941757 + 3037000493) % (1 << 64)

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self.state >> 33) % n

    def pick(self, items):
        return items[self.below(len(items))]


class Writer:
    """Writes functions in an order in which each calls only earlier ones, so that everything terminates."""

    def __init__(self, seed):
        self.dice = Dice(seed)
        self.lines = []
        self.functions = []  # (call text with %s for an int argument, cost of a call)
        self.names = 0

    def name(self, prefix):
        self.names += 1
        return '%s%d' % (prefix, self.names)

    def put(self, level, text):
        self.lines.append('    ' * level + text)

    def number(self, names):
        """An integer expression that costs no stop."""
        a = self.dice.pick(names)
        return self.dice.pick(['%s', '%s + 1', '%s * 2', '(%s - 3)', '%s %% 7', 'abs(%s)', '(%s ^ 5)']) % a

    def test(self, names):
        return '%s %% %d %s %d' % (self.dice.pick(names), 2 + self.dice.below(4), self.dice.pick(['==', '<', '>']),
                                   self.dice.below(3))

    def call(self, names, budget):
        """A call that costs no more than budget, with its cost; None if there is none."""
        fits = [f for f in self.functions if f[1] <= budget]
        if not fits:
            return None
        text, cost = self.dice.pick(fits)
        return text % self.number(names), cost

    def block(self, level, names, budget, statements):
        """Statements that change `t`; returns their cost. Never costs more than budget (at least one statement)."""
        spent = 0
        self.put(level, 't += %s' % self.number(names))
        spent += 1
        for _ in range(statements):
            left = budget - spent
            if left < 6:
                break
            kind = self.dice.below(10)
            if kind < 3:
                called = self.call(names, left - 1)
                if called:
                    self.put(level, 't += %s' % called[0])
                    spent += 1 + called[1]
                continue
            if kind == 3 and level < 4:
                self.put(level, 'if %s:' % self.test(names))
                one = self.block(level + 1, names, (left - 1) // 2, 1)
                self.put(level, 'else:')
                two = self.block(level + 1, names, (left - 1) // 2, 1)
                spent += 1 + max(one, two)
            elif kind in (4, 5) and level < 4 and left >= 12:
                turns = 1 + self.dice.below(3)
                i = self.name('i')
                self.put(level, 'for %s in range(%d):' % (i, turns))
                spent += 1 + turns * (1 + self.block(level + 1, names + [i], (left - 1) // turns - 1, 2))
            elif kind == 6 and level < 4 and left >= 12:
                w = self.name('w')
                turns = 1 + self.dice.below(3)
                self.put(level, '%s = %d' % (w, turns))
                self.put(level, 'while %s:' % w)
                self.put(level + 1, '%s -= 1' % w)
                spent += 2 + turns * (2 + self.block(level + 1, names + [w], (left - 2) // turns - 2, 1))
            elif kind == 7 and left >= 14:
                spent += self.trial(level, names, left)
            elif kind == 8 and left >= 14:
                n = 1 + self.dice.below(3)
                k = self.name('k')
                shape = self.dice.pick(['sum([%s * t for %s in range(%d)])', 'sum(%s + 1 for %s in range(%d))',
                                        'len({%s %% 2: 0 for %s in range(%d)})'])
                self.put(level, 't += %s' % (shape % (k, k, n)))
                spent += 5 + 3 * n
            elif kind == 9 and left >= 14:
                self.put(level, 't += sorted([%s, 2, 1], key=lambda v: -v)[0] %% 11' % self.dice.pick(names))
                spent += 10
        return spent

    def trial(self, level, names, budget):
        self.put(level, 'try:')
        called = self.call(names, budget - 12)
        cost = 1
        if called:
            self.put(level + 1, 't += %s' % called[0])
            cost += 1 + called[1]
        self.put(level + 1, 'if %s:' % self.test(names))
        self.put(level + 2, 'raise %s(t)' % self.dice.pick(['ValueError', 'KeyError', 'Oops']))
        self.put(level, 'except (ValueError, Oops) as e:')
        self.put(level + 1, 't -= len(e.args)')
        self.put(level, 'except KeyError:')
        self.put(level + 1, 't += 2')
        if self.dice.below(2):
            self.put(level, 'finally:')
            self.put(level + 1, 't += 1')
            cost += 1
        return cost + 6

    def function(self, budget):
        name = self.name('f')
        self.put(0, 'def %s(n):' % name)
        self.put(1, 't = n')
        cost = 4 + self.block(1, ['n', 't'], budget, 3)
        self.put(1, 'return t')
        self.put(0, '')
        self.functions.append((name + '(%s)', cost))

    def recursion(self):
        name = self.name('r')
        depth = 2 + self.dice.below(3)
        self.put(0, 'def %s(n, depth=%d):' % (name, depth))
        self.put(1, 'if depth == 0 or %s:' % self.test(['n']))
        self.put(2, 'return n')
        self.put(1, 'return %s(n + 1, depth - 1) + 1' % name)
        self.put(0, '')
        self.functions.append((name + '(%s)', 5 * depth + 5))

    def generator(self):
        name = self.name('g')
        turns = 1 + self.dice.below(3)
        inner = self.name('g')
        self.put(0, 'def %s(n):' % inner)
        self.put(1, 'for i in range(%d):' % turns)
        self.put(2, 'got = yield n + i')
        self.put(1, 'return n')
        self.put(0, '')
        if self.dice.below(2):
            self.put(0, 'def %s(n):' % name)
            self.put(1, 'last = yield from %s(n)' % inner)
            self.put(1, 'yield last')
            self.put(0, '')
            self.functions.append(('sum(%s(%%s))' % name, 9 * turns + 16))
        else:
            self.functions.append(('sum(%s(%%s))' % inner, 5 * turns + 8))

    def class_(self):
        name = self.name('C')
        self.put(0, 'class %s:' % name)
        self.put(1, 'def __init__(self, n):')
        self.put(2, 'self.n = n')
        self.put(1, 'def __enter__(self):')
        self.put(2, 'return self')
        self.put(1, 'def __exit__(self, kind, value, tb):')
        self.put(2, 'return kind is ValueError')
        self.put(1, '@property')
        self.put(1, 'def twice(self):')
        self.put(2, 'return self.n * 2')
        self.put(0, '')
        user = self.name('f')
        self.put(0, 'def %s(n):' % user)
        self.put(1, 'with %s(n) as c:' % name)
        self.put(2, 't = c.twice')
        self.put(2, 'if %s:' % self.test(['n']))
        self.put(3, 'raise ValueError(n)')
        self.put(1, 'return t')
        self.put(0, '')
        self.functions.append((user + '(%s)', 24))

    def closure(self):
        name = self.name('f')
        self.put(0, 'def %s(n):' % name)
        self.put(1, 'total = n')
        self.put(1, 'def add(k):')
        self.put(2, 'nonlocal total')
        self.put(2, 'total += k')
        self.put(2, 'return total')
        self.put(1, 'add(1)')
        self.put(1, 'return add(n % 3)')
        self.put(0, '')
        self.functions.append((name + '(%s)', 16))

    def program(self, budget):
        self.put(0, 'class Oops(Exception):')
        self.put(1, 'pass')
        self.put(0, '')
        makers = [self.recursion, self.generator, self.class_, self.closure, lambda: self.function(24)]
        for _ in range(3 + self.dice.below(3)):
            self.dice.pick(makers)()
        self.function(30)
        left = budget - 8 - 3 * len(self.functions)
        self.put(0, 't = %d' % self.dice.below(9))
        while left > 40:
            left -= self.block(0, ['t'], min(left // 2, 90), 3)
        self.put(0, "print('t', t)")
        return '\n'.join(self.lines) + '\n'


def generate(seed, budget=300):
    """The program's text."""
    return Writer(seed).program(budget)


if __name__ == '__main__':
    sys.stdout.write(generate(*[int(argument) for argument in sys.argv[1:3]]))
