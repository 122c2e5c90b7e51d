break cxx.cc:46
run
print numbers
print ages
print text
print box
print words.twice()
print *shape
set print object on
print *shape
print shape->area()
print numbers.size()
print largest<int>(numbers)
break largest<int>
continue
bt
finish
catch throw
catch catch
continue
bt
continue
info breakpoints
break deep::thrower
delete
next
next
next
ptype Box<int>
info vtbl shape
print add
tbreak 'Box<int>::twice() const'
continue
print *this
continue
