// Leaves daemons behind: daemons COUNT MARK. Each has forked twice, is in a
// session of its own, ignores what can be ignored, and goes on forking.
#include "say.h"

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 1;
    for (int i = 0; i < count; i++) {
        if (fork() != 0)
            continue;
        setsid();
        if (fork() != 0)
            _exit(0);
        for (int s = 1; s < 64; s++)
            signal(s, SIG_IGN);
        close(0), close(1), close(2);
        // One at a time: it moves on, it does not multiply.
        for (;;) {
            usleep(1000);
            if (fork() != 0)
                _exit(0);
        }
    }
    usleep(50000);
    printf("left %d\n", count);
    return 0;
}
