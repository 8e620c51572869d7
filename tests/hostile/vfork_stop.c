// A vfork child that stops itself: its parent cannot be signalled politely.
#include "say.h"

int main(void) {
    printf("stopping\n");
    fflush(stdout);
    pid_t pid = vfork();
    if (pid == 0) {
        kill(getpid(), SIGSTOP);
        _exit(0);
    }
    return 0;
}
