"""The end by sys.exit in a nested frame; pdb restarts the program."""
import sys

def leave(n):
    for i in range(n):
        if i == 2:
            sys.exit(n)

try:
    x = 1
finally:
    leave(5)
