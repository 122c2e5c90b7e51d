break reached
run
print counted
print empty
continue
print counted
thread apply all print counted
continue
continue
