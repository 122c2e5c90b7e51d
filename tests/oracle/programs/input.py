"""Reads its terminal, in a loop and inside a call."""
# input: 3 4 word 7


def ask(prompt):
    answer = input(prompt)
    return answer


total = 0
for turn in range(2):
    total += int(ask('number '))
name = ask('name ')
last = int(input())
total += last
print(name, total)
