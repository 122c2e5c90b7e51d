"""Holds as many megabytes as it is told and changes one percent of them in each round of its loop."""
import sys

PAGE = 4096
heap = [bytearray(b'x') * (1 << 20) for _ in range(int(sys.argv[1]))]
pages = len(heap) * 256


def change(round):
    for number in range(pages // 100):
        page = (round * 7919 + number * 100) % pages
        heap[page // 256][page % 256 * PAGE] = round % 256


round = 0
while round < 100000:
    change(round)
    round += 1
