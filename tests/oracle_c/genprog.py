"""Makes a C program from a seed: `python3 genprog.py SEED > program.c`.

Loops, recursion, function pointers, structs, switch, early return, calls in expressions and conditions, several statements
on a line, loops on one line, qsort with a callback. It ends by itself, behaves the same each time, and has nothing undefined.
"""
import sys


class Dice:
    def __init__(self, seed):
        self.state = (seed * 2862933555777941757 + 1442695040888963407) % (1 << 64)

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        return (self.state >> 33) % n

    def pick(self, items):
        return items[self.below(len(items))]


class Program:
    def __init__(self, seed):
        self.dice = Dice(seed)
        self.lines = []
        self.functions = []
        self.depth = 0

    def emit(self, text):
        self.lines.append('    ' * self.depth + text)

    def value(self, names, calls=True):
        dice = self.dice
        kind = dice.below(6 if calls and self.functions else 4)
        if kind == 0:
            return str(dice.below(20))
        if kind in (1, 2):
            return dice.pick(names)
        if kind == 3:
            return '(%s %s %s)' % (self.value(names, False), dice.pick(['+', '-', '^', '&']), self.value(names, False))
        if kind == 4:
            return '%s(%s, %s)' % (dice.pick(self.functions), self.value(names, False), self.value(names, False))
        return 'table[(unsigned)%s %% 2](%s)' % (dice.pick(names), self.value(names, False))

    def condition(self, names):
        return '%s %s %s' % (self.value(names), self.dice.pick(['<', '>', '==', '!=']), self.value(names, False))

    def statement(self, names, room, loops):
        dice = self.dice
        kind = dice.below(10)
        target = dice.pick(['x', 'y'])
        if kind <= 2 or room <= 0:
            self.emit('%s = %s;' % (target, self.value(names)))
        elif kind == 3:
            self.emit('%s += %s; counter++;' % (target, self.value(names, False)))
        elif kind == 4:
            self.emit('if (%s)' % self.condition(names))
            self.depth += 1
            self.emit('%s = %s;' % (target, self.value(names)))
            self.depth -= 1
            if dice.below(2):
                self.emit('else')
                self.depth += 1
                self.emit('%s -= %d;' % (target, dice.below(9)))
                self.depth -= 1
        elif kind == 5 and loops:
            name = 'i%d' % self.depth
            self.emit('for (int %s = 0; %s < %d; %s++) {' % (name, name, 2 + dice.below(3), name))
            self.depth += 1
            for _ in range(1 + dice.below(2)):
                self.statement(names + [name], room - 1, False)
            self.depth -= 1
            self.emit('}')
        elif kind == 6:
            name = 'j%d' % self.depth
            self.emit('for (int %s = 0; %s < %d; %s++) %s ^= %s;' % (name, name, 3 + dice.below(5), name, target, name))
        elif kind == 7:
            self.emit('switch ((unsigned)%s %% 3) {' % self.value(names, False))
            for case in range(2):
                self.emit('case %d:' % case)
                self.depth += 1
                self.emit('%s = %s;' % (target, self.value(names, case == 0)))
                self.emit('break;')
                self.depth -= 1
            self.emit('default:')
            self.depth += 1
            self.emit('counter += 2;')
            self.depth -= 1
            self.emit('}')
        elif kind == 8:
            self.emit('shape.a = %s;' % self.value(names, False))
            self.emit('shape.b += shape.a & 7;')
        else:
            self.emit('if (%s) {' % self.condition(names))
            self.depth += 1
            self.emit('counter--;')
            self.depth -= 1
            self.emit('}')

    def function(self, index):
        dice = self.dice
        name = 'f%d' % index
        self.emit('static int %s(int a, int b)' % name)
        self.emit('{')
        self.depth += 1
        self.emit('int x = a, y = b;')
        if dice.below(3) == 0:
            self.emit('if (a %s %d)' % (dice.pick(['<', '>']), dice.below(12)))
            self.depth += 1
            self.emit('return %s;' % dice.pick(['x', 'y + 1', '3']))
            self.depth -= 1
        for _ in range(1 + dice.below(3)):
            self.statement(['x', 'y', 'a', 'b', 'shape.b'], 1, dice.below(2) == 0)
        if dice.below(4) == 0:
            self.emit('if (b > 0 && b < 4)')
            self.depth += 1
            self.emit('y += %s(a, b - 1);' % name)
            self.depth -= 1
        self.emit('return (x + y) & 1023;')
        self.depth -= 1
        self.emit('}')
        self.emit('')
        self.functions.append(name)

    def text(self, rounds=1):
        """The program; main does what it does in so many rounds."""
        dice = self.dice
        self.lines += ['#include <stdlib.h>', '', 'int counter;', 'volatile int zero;', 'struct shape { int a, b; } shape;', '']
        self.lines += ['static int one(int v)', '{', '    counter += v & 3;', '    return v + 1;', '}', '']
        self.lines += ['static int two(int v) { return v * 2 & 255; }', '']
        self.lines += ['static int (*table[2])(int) = {one, two};', '']
        self.lines += ['static int compare(const void *p, const void *q)', '{', '    int l = *(const int *)p;',
                       '    int r = *(const int *)q;', '    return l - r;', '}', '']
        for index in range(2 + dice.below(3)):
            self.function(index)
        self.emit('int main(void)')
        self.emit('{')
        self.depth += 1
        self.emit('int x = %d + zero, y = %d + zero;' % (dice.below(9), dice.below(9)))
        if rounds > 1:
            self.emit('for (int round = 0; round < %d; round++) {' % rounds)
            self.depth += 1
        for _ in range(3 + dice.below(4)):
            self.statement(['x', 'y', 'counter'], 2, True)
        if rounds > 1:
            self.depth -= 1
            self.emit('}')
        if dice.below(3) == 0:
            self.emit('int values[3] = {x & 15, y & 15, 7};')
            self.emit('qsort(values, 3, sizeof values[0], compare);')
            self.emit('x += values[0];')
        self.emit('counter += x & 15;')
        self.emit('return (counter + y + shape.b) & 63;')
        self.depth -= 1
        self.emit('}')
        return '\n'.join(self.lines) + '\n'


if __name__ == '__main__':
    sys.stdout.write(Program(int(sys.argv[1])).text())
