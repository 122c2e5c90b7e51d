starti
tbreak main
continue
next
next
step
until
until
until 18
display total
display/x sum
next
info display
undisplay 1
next
undisplay
advance 38
tbreak leaf
continue
up
down
frame function branch
finish
rbreak walk.c:^l.*f$
info breakpoints
continue
commands
silent
printf "leaf of %d\n", n
if n > 3
print n * 100
end
end
continue
continue
disable
rwatch total
continue
continue
delete
watch text[0] if text[0] > 65
continue
delete
awatch seen
continue
delete
return
next
print text
call leaf(8)
print seen
print leaf(20) + leaf(30)
print $_exitcode
print $
print $$2
print $_
show values
info line leaf
info address total
info symbol leaf
info scope branch
info source
info sharedlibrary
list leaf
list 1,3
list
search memset
disassemble leaf
disassemble /s deep
x/3i $pc
x/8xb text
x/s text
x/2dw &total
print/t total
print &text
print text[1]@3
print sizeof text
whatis &total
ptype main
set var total = 1
print total
print total = 5
set language c++
print true
set language auto
info registers rsp rip eflags
print $ymm2.v8_int32
stepi
nexti 2
x/i $pc
info frame
tbreak *main
run
info args
info locals
next 3
tbreak output
continue
catch syscall getppid
continue
continue
bt
delete
catch syscall
continue
delete
jump 43
start
kill
kill
start
handle SIGUSR1 nostop noprint
signal SIGUSR1
run
