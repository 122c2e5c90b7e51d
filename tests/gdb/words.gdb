break show
run
print *argv@argc
kill
