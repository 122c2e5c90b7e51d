set args one 'two words' "three $GIVEN" '*.so' *.so ~ "it's" < input
set environment GIVEN here
unset environment HOME
show args
break show
run
print argc
print *argv@argc
continue
set cwd /usr/share
show cwd
run a\ b < /dev/null > "$OUT"
continue
shell cat "$OUT"
run 'a b' < /dev/null
run '*' < /dev/null
continue
start < /dev/null
kill
info program
