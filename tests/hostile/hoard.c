// Fills a memfd that it never maps, up to 512 MiB, and keeps it.
#include "say.h"
#include <sys/mman.h>

int main(void) {
    static char piece[1 << 20];
    int file = memfd_create("hoard", 0);
    memset(piece, 1, sizeof piece);
    for (int i = 0; i < 512 && write(file, piece, sizeof piece) > 0; i++)
        ;
    puts("kept");
    fflush(stdout);
    pause();
    return 0;
}
