set follow-fork-mode child
break worked
run > /dev/null
bt
finish
print $_inferior
continue
