// Tries every socket triple; prints those not answered EAFNOSUPPORT:
// "FAMILY TYPE PROTOCOL RESULT". With an argument: socketpair.
#include "say.h"

int main(int argc, char **argv) {
    static const int protocols[] = { 0, 1, 2, 6, 15, 16, 17, 33, 58, 103, 132, 136, 143, 255, 256, 262, 263 };
    (void)argv;
    for (long family = 0; family < 50; family++)
        for (long type = 0; type < 12; type++)
            for (unsigned i = 0; i < sizeof protocols / sizeof *protocols; i++) {
                int pair[2];
                // Garbage above bit 31 is the kernel's to ignore, so a filter's too.
                for (unsigned long high = 0; high < 2; high++) {
                    unsigned long up = high << 32;
                    long result = argc > 1 ? syscall(SYS_socketpair, up | family, up | type, up | protocols[i], pair)
                                           : syscall(SYS_socket, up | family, up | type, up | protocols[i]);
                    int error = errno;
                    if (result >= 0 && argc > 1)
                        close(pair[0]), close(pair[1]);
                    else if (result >= 0)
                        close(result);
                    if (result >= 0 || error != EAFNOSUPPORT)
                        printf("%ld %ld %d %d\n", family, type, protocols[i], result >= 0 ? 0 : -error);
                }
            }
    return 0;
}
