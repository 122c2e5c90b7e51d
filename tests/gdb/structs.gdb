break main
run
break sum
continue
bt
next 3
info locals
info args
watch total
continue
continue
delete
finish
next
tbreak cube
continue
up
return 99
next
print points
print points[1]
print/x points
print points[2]@2
ptype struct point
whatis names
print colour
print (enum colour)6
print number
print square(7)
call apply(cube, 2)
print names
print halves
x/4dw points
x/s names[0]
output total
printf "%d %s\n", total, names[1]
info registers rip
print $xmm0.v4_int32
print $ymm0.v4_int64
whatis $xmm1
ptype $ymm1
print $st0
print $mxcsr
print $eflags
print $cs
print $fctrl
info auxv
info line
info source
info symbol square
info address total
disassemble square
display total
display/i $pc
next
undisplay 1
info display
set var total = 5
print total
print points[2].x++
print $_exitcode
find &points[0], +sizeof(points), 2
dprintf square,"square of %d\n", n
hbreak apply
run
continue
info breakpoints
condition 4 n == 100
ignore 4 1
delete
tbreak main
run
rbreak ^squ
watch points[2].x
rwatch total
continue
continue
continue
delete
advance cube
until
stepi 3
nexti
x/2i $pc
info frame
jump 55
print $_exitcode
info program
delete
break cube if n == 3
commands
silent
printf "at cube %d\n", n
continue
end
run
starti
info sharedlibrary
break main
continue
info sharedlibrary
generate-core-file /dev/null
kill
info registers
