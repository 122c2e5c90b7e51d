// Signals: raised, sent, blocked, waited for; calls that are interrupted and calls that are made again; faults; an alternate stack.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <poll.h>
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <setjmp.h>
static volatile int got; static sigjmp_buf jb;
static void h(int s) { got = got * 100 + s; char b[32]; int n = snprintf(b, 32, "h%d\n", s); write(1, b, n); }
static void segv(int s) { siglongjmp(jb, 1); }
int main(void) { struct sigaction a = {.sa_handler = h}; sigaction(SIGUSR1, &a, 0); sigaction(SIGCHLD, &a, 0); sigaction(SIGALRM,&a,0);
 a.sa_flags = SA_RESTART; sigaction(SIGUSR2, &a, 0);
 raise(SIGUSR1); kill(getpid(), SIGUSR2);
 sigset_t s, o; sigemptyset(&s); sigaddset(&s, SIGUSR1); sigprocmask(SIG_BLOCK, &s, &o); raise(SIGUSR1); printf("blocked %d\n", got); 
 sigsuspend(&o); printf("suspended %d\n", errno); sigprocmask(SIG_SETMASK, &o, 0);
 alarm(1); int r = poll(0, 0, 5000); printf("poll %d %d\n", r, errno);
 int p[2]; pipe(p); pid_t me = getpid(); if (!fork()) { usleep(20000); kill(me, SIGUSR2); usleep(20000); write(p[1], "x", 1); _exit(3); }
 char c; r = read(p[0], &c, 1); printf("read %d\n", r); int st; while (wait(&st) < 0) printf("eintr\n"); printf("st %x\n", st);
 signal(SIGSEGV, segv); if (!sigsetjmp(jb, 1)) *(volatile int *)8 = 1; printf("segv caught\n");
 sigprocmask(SIG_BLOCK, &s, 0); kill(getpid(), SIGUSR1); int x; sigwait(&s, &x); printf("sigwait %d\n", x);
 stack_t ss = {.ss_sp = malloc(65536), .ss_size = 65536}; sigaltstack(&ss, 0); a.sa_flags = SA_ONSTACK; sigaction(SIGHUP, &a, 0); raise(SIGHUP);
 printf("total %d\n", got); fflush(stdout); abort(); }
