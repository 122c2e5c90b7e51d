"""The end by an exception that nobody catches: pdb goes post mortem."""
def divide(a, b):
    return a / b

def table(n):
    row = []
    for i in range(n):
        row.append(divide(n, 2 - i))
    return row

print(table(4))
