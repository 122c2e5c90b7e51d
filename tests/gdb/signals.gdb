run
print $_siginfo.si_code
print $_siginfo.si_signo
bt
signal 0
print handled
continue
print handled
info signals SIGUSR1
handle SIGUSR1 nostop print pass
continue
print handled
continue
print $_siginfo.si_code
info program
continue
print $_exitsignal
