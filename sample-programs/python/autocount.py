"""A counter that goes wrong: `num` must stay below 5 and does not.

Shows: fred-reverse-watch on a global. break 28, continue, fred-reverse-watch num < 5 (lands on line 12).
"""
num = 0


def main():
    global num
    for word in words():
        if word.endswith("s"):
            num += 1
        check(word)


def words():
    for stem in ("cup", "fork", "knife", "plate", "spoon", "glass", "bowl", "dish"):
        yield stem
        yield stem + "es" if stem.endswith("s") or stem.endswith("sh") else stem + "s"


def check(word):
    return len(word) > 2


main()
print("words that end in s:", num)
print("that is", "fine" if num < 5 else "too many")
