# The loop of the recording benchmark.
n = 0
for i in range(10_000_000):
    n += i
done = n
