// Makes device nodes.
#include "say.h"
#include <sys/sysmacros.h>

int main(void) {
    say("control-fifo", mknod("node-fifo", S_IFIFO | 0600, 0));
    say("control-file", mknod("node-file", S_IFREG | 0600, 0));
    say("character", mknod("node-mem", S_IFCHR | 0666, makedev(1, 2)));
    say("block", mknod("node-disk", S_IFBLK | 0666, makedev(254, 0)));
    say("at", mknodat(AT_FDCWD, "node-at", S_IFCHR | 0666, makedev(1, 1)));
    say("whiteout", mknod("node-whiteout", S_IFCHR, makedev(0, 0)));
    return 0;
}
