break 15
run
next
x/30ub read
x/14i read
x/8i write
output *(unsigned char (*)[40]) write
x/6i lseek
find /b read, +64, 0x0f, 0x05
next
next
next
print text
delete
break *(char *) read
continue
x/i $pc
while *(unsigned short *) $pc != 0x050f
stepi
end
x/i $pc
print $rax
stepi
x/i $pc
print (long) $rcx == (long) $pc
print $rax
stepi
x/i $pc
finish
delete
tbreak *(char *) write
continue
while *(unsigned short *) $pc != 0x050f
stepi
end
break *$pc
continue
x/i $pc
print $rax
stepi
print $rax
x/2i $pc
delete
next
print text
finish
next
next
next
tbreak *(lseek + 5)
continue
x/3i $pc
stepi
x/i $pc
stepi
stepi
print $rax < 20
set var *(char *) lseek = *(char *) lseek
x/4ub lseek
catch syscall write
continue
continue
delete
up
watch sum
continue
continue
continue
delete
continue
