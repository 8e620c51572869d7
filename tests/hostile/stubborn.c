// A tree of processes that ignore every signal they can, their parents' death
// included.
#include "say.h"
#include <sys/prctl.h>

int main(void) {
    for (int s = 1; s < 64; s++)
        signal(s, SIG_IGN);
    for (int i = 0; i < 4; i++)
        if (fork() == 0) {
            setsid();
            prctl(PR_SET_PDEATHSIG, 0);
        }
    prctl(PR_SET_PDEATHSIG, 0);
    printf("stubborn 0\n");
    fflush(stdout);
    for (;;)
        sleep(100);
}
