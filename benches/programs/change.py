"""Holds as many megabytes as it is told and changes some percent of them (or 1) in each round of its loop."""
import sys

PAGE = 4096
heap = [bytearray(b'x') * (1 << 20) for _ in range(int(sys.argv[1]))]
pages = len(heap) * 256
share = int(sys.argv[2]) if len(sys.argv) > 2 else 1


def change(round):
    for number in range(pages * share // 100):
        page = (round * 7919 + number * 100 // share) % pages
        heap[page // 256][page % 256 * PAGE] = round % 256


# One line, so that every stop is one round later than the last.
for round in range(100000): change(round)
