// Sends deadly signals in every way: signals PID. With a second argument only
// to that process: outside a jail the rest would hit everybody.
#include "say.h"

int main(int argc, char **argv) {
    int pid = argc > 1 ? atoi(argv[1]) : 1;
    signal(SIGTERM, SIG_IGN);
    int child = fork();
    if (child == 0) {
        signal(SIGTERM, SIG_DFL);
        pause();
    }
    usleep(20000);
    say("control", kill(child, SIGTERM));
    int status = 0;
    waitpid(child, &status, 0);
    printf("control-signal %d\n", WTERMSIG(status));
    siginfo_t info;
    memset(&info, 0, sizeof info);
    info.si_code = SI_QUEUE;
    say("kill", kill(pid, SIGTERM));
    say("group", kill(-pid, SIGTERM));
    say("tkill", syscall(SYS_tkill, pid, SIGTERM));
    say("tgkill", syscall(SYS_tgkill, pid, pid, SIGTERM));
    say("sigqueueinfo", syscall(SYS_rt_sigqueueinfo, pid, SIGTERM, &info));
    say("tgsigqueueinfo", syscall(SYS_rt_tgsigqueueinfo, pid, pid, SIGTERM, &info));
    int pidfd = syscall(SYS_pidfd_open, pid, 0);
    say("pidfd_send_signal", syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, 0, 0));
    if (argc > 2)
        return 0;
    say("own-group", kill(0, SIGTERM));
    say("everybody", kill(-1, SIGTERM));
    say("parent", kill(getppid(), SIGTERM));
    say("init", kill(1, SIGTERM));
    say("stop", kill(pid, SIGSTOP));
    say("kill-9", kill(pid, SIGKILL));
    return 0;
}
