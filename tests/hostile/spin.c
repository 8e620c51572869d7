// Burns processor time in threads, deaf to SIGXCPU: spin THREADS.
#include "say.h"
#include <pthread.h>

static void *turn(void *none) {
    for (volatile long i = 0;; i++)
        ;
    return none;
}

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 1;
    for (int s = 1; s < 64; s++)
        signal(s, SIG_IGN);
    for (int i = 1; i < count; i++) {
        pthread_t thread;
        pthread_create(&thread, 0, turn, 0);
    }
    turn(0);
}
