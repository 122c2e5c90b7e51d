"""A linked list of 20 elements, made one by one.

Shows: fred-reverse-watch with an expression that calls a function of the program.
break 35, continue, fred-reverse-watch list_len(head) < 10 (lands on line 29, in append).
"""


class Node:
    def __init__(self, value):
        self.value = value
        self.next = None


def list_len(node):
    length = 0
    while node is not None:
        length += 1
        node = node.next
    return length


def append(head, value):
    node = Node(value)
    if head is None:
        return node
    last = head
    while last.next is not None:
        last = last.next
    last.next = node
    return head

head = None
for value in range(20):
    head = append(head, value * value)
print("elements:", list_len(head))
