"""Computes for some seconds without a stop."""


def compute(rounds):
    total = 0
    for number in range(rounds):
        total = (total * 31 + number) % 1000003
    return total


print(compute(40_000_000))
