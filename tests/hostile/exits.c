// Ends as it is told: exits STATUS, or exits -SIGNAL. Ignores nothing.
#include "say.h"
#include <sys/resource.h>

int main(int argc, char **argv) {
    int how = argc > 1 ? atoi(argv[1]) : 0;
    struct rlimit much = { RLIM_INFINITY, RLIM_INFINITY };
    setrlimit(RLIMIT_CORE, &much);
    if (how >= 0)
        _exit(how);
    signal(-how, SIG_DFL);
    kill(getpid(), -how);
    return 99;
}
