// Starves another process: schedule PID. With a second argument only that one.
#include "say.h"
#include <sched.h>
#include <sys/resource.h>

int main(int argc, char **argv) {
    int pid = argc > 1 ? atoi(argv[1]) : 1;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    struct sched_param none = { 0 };
    struct rlimit zero = { 0, 0 };
    say("control-affinity", sched_setaffinity(0, sizeof one, &one));
    say("control-nice", setpriority(PRIO_PROCESS, 0, 5));
    say("affinity", sched_setaffinity(pid, sizeof one, &one));
    say("idle", sched_setscheduler(pid, SCHED_IDLE, &none));
    say("setattr", syscall(SYS_sched_setattr, pid, &none, 0));
    say("nice", setpriority(PRIO_PROCESS, pid, 19));
    if (argc == 2) {
        say("nice-user", setpriority(PRIO_USER, getuid(), 19));
        say("nice-group", setpriority(PRIO_PGRP, pid, 19));
    }
    say("ioprio", syscall(SYS_ioprio_set, 1, pid, 3 << 13));
    say("nofile", prlimit(pid, RLIMIT_NOFILE, &zero, 0));
    say("cpu", prlimit(pid, RLIMIT_CPU, &zero, 0));
    return 0;
}
