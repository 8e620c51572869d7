// Namespaces by unshare, clone and setns.
#include "say.h"
#include <sched.h>

static long born(unsigned long flags) {
    long pid = syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        waitpid(pid, 0, __WALL);
    return pid;
}

int main(void) {
    const struct { const char *name; unsigned long flag; } kinds[] = {
        { "user", CLONE_NEWUSER }, { "mount", CLONE_NEWNS }, { "pid", CLONE_NEWPID }, { "net", CLONE_NEWNET },
        { "ipc", CLONE_NEWIPC },   { "uts", CLONE_NEWUTS },  { "cgroup", CLONE_NEWCGROUP },
    };
    char step[64];
    say("control-clone", born(0));
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        snprintf(step, sizeof step, "unshare-%s", kinds[i].name);
        say(step, unshare(kinds[i].flag));
        snprintf(step, sizeof step, "clone-%s", kinds[i].name);
        say(step, born(kinds[i].flag));
        snprintf(step, sizeof step, "clone-high-%s", kinds[i].name);
        say(step, born(0xff00000000ul | kinds[i].flag));
    }
    say("clone-parent", born(CLONE_PARENT));
    say("clone-ptrace", born(CLONE_PTRACE));
    say("setns", setns(open("/proc/self/ns/net", O_RDONLY), 0));
    say("setns-init", setns(open("/proc/1/ns/mnt", O_RDONLY), 0));
    say("clone3", syscall(435, 0, 0));
    return 0;
}
