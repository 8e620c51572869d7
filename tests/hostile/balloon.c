// Takes memory until it is stopped: balloon KIND, of
// heap, mapping, memfd, stack, children.
#include "say.h"
#include <sys/mman.h>

static void deeper(int left) {
    volatile char room[1 << 16];
    memset((char *)room, 1, sizeof room);
    if (left)
        deeper(left - 1);
    room[0] = 2;
}

int main(int argc, char **argv) {
    const char *kind = argc > 1 ? argv[1] : "heap";
    long taken = 0;
    int file = memfd_create("balloon", 0);
    if (!strcmp(kind, "stack"))
        deeper(1 << 16);
    // Each within its own limit, all together far beyond.
    for (int i = 0; !strcmp(kind, "children") && i < 8; i++)
        if (fork() == 0) {
            memset(malloc(32 << 20), 1, 32 << 20);
            pause();
        }
    if (!strcmp(kind, "children"))
        pause();
    for (;; taken++) {
        char *piece;
        if (!strcmp(kind, "memfd")) {
            if (ftruncate(file, (taken + 1) << 20) < 0)
                break;
            piece = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file, taken << 20);
        } else if (!strcmp(kind, "mapping")) {
            piece = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        } else {
            piece = malloc(1 << 20);
        }
        if (!piece || piece == MAP_FAILED)
            break;
        memset(piece, taken, 1 << 20);
        if (taken > 16384)
            break;
    }
    printf("taken %ld\n", taken);
    return 3;
}
