// A fork bomb. Says how many it got when it is the first.
#include "say.h"

int main(void) {
    printf("bomb 0\n");
    fflush(stdout);
    for (;;)
        if (fork() < 0)
            usleep(1000);
}
