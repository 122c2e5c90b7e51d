handle SIGUSR1 SIGUSR2 nostop noprint pass
handle SIG37 nostop print pass
run
bt
print $_siginfo.si_signo
print $_siginfo._sifields._sigfault.si_addr
x/i $pc
continue
print $_siginfo
print $_exitsignal
info program
