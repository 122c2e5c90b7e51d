"""A linked list that grows to as many elements as it is told; the breakpoint belongs in line 23."""
import sys


class Node:
    def __init__(self, next):
        self.next = next


def list_len(node):
    length = 0
    while node is not None:
        length += 1
        node = node.next
    return length


head = None
size = int(sys.argv[1])
for value in range(size):
    head = Node(head)

print('grown')
