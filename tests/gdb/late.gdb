break reached
run
continue
continue
print late
continue
print late
continue
