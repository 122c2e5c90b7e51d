"""Exceptions through several frames, finally, with, else, re-raising."""
class Guard:
    def __init__(self, swallow):
        self.swallow = swallow

    def __enter__(self):
        return self

    def __exit__(self, kind, value, tb):
        return self.swallow

def deep(n):
    if n == 0:
        raise ValueError('bottom')
    try:
        return deep(n - 1)
    finally:
        n += 1

def caught(n):
    try:
        deep(n)
    except KeyError:
        return 0
    except ValueError as e:
        try:
            raise RuntimeError('second') from e
        except RuntimeError:
            return n
    else:
        return -1

total = 0
for k in range(3):
    total += caught(k)
    with Guard(True):
        deep(1)
    try:
        with Guard(False) as g:
            total += len([1][k:]) and {}[k]
    except KeyError:
        total += 1
    except Exception:
        total -= 1
print(total)
