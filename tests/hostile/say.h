// What every helper shares: say how a step went, as "NAME RESULT", where
// RESULT is 0 or more, or the negative errno.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static inline long say(const char *name, long result) {
    if (result < 0)
        printf("%s %d\n", name, -errno);
    else
        printf("%s %ld\n", name, result);
    fflush(stdout);
    return result;
}
