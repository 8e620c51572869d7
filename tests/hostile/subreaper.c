// Makes itself a reaper in the middle, leaves a daemon beneath, and dies.
#include "say.h"
#include <sys/prctl.h>

int main(int argc, char **argv) {
    (void)argc, (void)argv;
    pid_t middle = fork();
    if (middle == 0) {
        say("subreaper", prctl(PR_SET_CHILD_SUBREAPER, 1));
        prctl(PR_SET_PDEATHSIG, 0);
        if (fork() == 0) {
            setsid();
            if (fork() == 0)
                for (;;)
                    pause();
            _exit(0);
        }
        usleep(20000);
        _exit(0);
    }
    waitpid(middle, 0, 0);
    printf("done 0\n");
    return 0;
}
