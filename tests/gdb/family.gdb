catch fork
catch vfork
catch exec
break worked
run
continue
continue
continue
continue
continue
continue
continue
