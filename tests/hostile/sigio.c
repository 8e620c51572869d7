// Has the kernel send signals to another: sigio PID.
#include "say.h"
#include <sys/ioctl.h>

static void ring(int pid, int how) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return;
    struct f_owner_ex owner = { F_OWNER_PID, pid };
    if (how == 0)
        say("setown", fcntl(pair[0], F_SETOWN, pid));
    else if (how == 1)
        say("setown-ex", fcntl(pair[0], F_SETOWN_EX, &owner));
    else
        say("siocspgrp", ioctl(pair[0], 0x8902, &pid));
    fcntl(pair[0], F_SETSIG, SIGKILL);
    fcntl(pair[0], F_SETFL, O_ASYNC | O_NONBLOCK);
    say("ring", write(pair[1], "x", 1));
    usleep(20000);
}

int main(int argc, char **argv) {
    int pid = argc > 1 ? atoi(argv[1]) : 1;
    for (int how = 0; how < 3; how++)
        ring(pid, how);
    return 0;
}
