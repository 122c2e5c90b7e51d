set follow-fork-mode child
break worked
run
bt
finish
print $_inferior
continue
