break meet
run
info threads
thread apply all -s frame 0
thread 2
thread name renamed
info threads
thread find worker
print $_thread
print $_gthread
set scheduler-locking on
thread 1
next
step
set scheduler-locking step
next
set scheduler-locking off
continue
