python gdb.execute("break sum")
run
python print(gdb.selected_frame().name())
python print(gdb.parse_and_eval("points[1]")['y'])
python
class Hello(gdb.Command):
    """Greet."""
    def __init__(self):
        super().__init__("hello", gdb.COMMAND_USER)
    def invoke(self, arg, from_tty):
        print("hello", arg)
Hello()
end
hello world
python gdb.events.stop.connect(lambda event: print("stopped:", type(event).__name__))
next
define twice
print $arg0 * 2
end
twice 21
document twice
Doubles.
end
help twice
if 1 == 1
print 1
else
print 2
end
set $i = 0
while $i < 3
print $i
set $i = $i + 1
end
set logging overwrite on
set logging file log.txt
set logging enabled on
print total
set logging enabled off
shell cat log.txt
alias pp = print
pp total
pipe info line main | wc -l
python gdb.execute("next")
python print(gdb.execute("bt", to_string=True).count("#"))
with print pretty on -- print points[1]
save breakpoints saved
shell cat saved
source saved
eval "print %d", 5
echo hi\n
list cube
list
show environment GIVEN
skip function square
info skip
call (int)puts("from the program")
print $_strlen("abc")
print $_regex("abc","a.c")
print $_streq(names[0], "one")
undefined
print nothing
frame function main
frame apply all print $pc > 0
info threads
kill
