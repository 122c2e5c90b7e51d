"""Executes a million lines, then stops at a breakpoint in line 12."""


def count(rounds):
    total = 0
    for number in range(rounds):
        total += number
    return total


result = count(500_000)
print(result)
