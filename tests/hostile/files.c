// Opens files up to the limit, then tries to raise its limits.
#include "say.h"
#include <sys/resource.h>

static long raise_one(int what) {
    struct rlimit now, more;
    getrlimit(what, &now);
    if (now.rlim_max == RLIM_INFINITY)
        return 0;
    more.rlim_cur = more.rlim_max = now.rlim_max + 1;
    return setrlimit(what, &more);
}

int main(void) {
    int count = 0;
    while (open("/dev/null", O_RDONLY) >= 0)
        count++;
    printf("opened %d\n", count);
    say("raise-files", raise_one(RLIMIT_NOFILE));
    say("raise-processes", raise_one(RLIMIT_NPROC));
    say("raise-cpu", raise_one(RLIMIT_CPU));
    say("raise-data", raise_one(RLIMIT_DATA));
    say("raise-core", raise_one(RLIMIT_CORE));
    struct rlimit core;
    getrlimit(RLIMIT_CORE, &core);
    printf("core-limit %ld\n", (long)core.rlim_max);
    return 0;
}
