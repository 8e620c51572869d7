// Leaves children unreaped: zombies COUNT.
#include "say.h"

int main(int argc, char **argv) {
    int count = argc > 1 ? atoi(argv[1]) : 100, made = 0;
    for (int i = 0; i < count; i++) {
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        made += pid > 0;
    }
    printf("made %d\n", made);
    return 0;
}
