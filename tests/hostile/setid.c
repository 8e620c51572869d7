// Plants set-uid, set-gid and capability bits in every way there is.
#include "say.h"
#include <sys/xattr.h>

int main(void) {
    close(open("plant", O_CREAT | O_WRONLY, 0755));
    int fd = open("plant", O_RDONLY);
    say("control-chmod", chmod("plant", 0700));
    say("control-fchmod", fchmod(fd, 0755));
    say("chmod", chmod("plant", 04755));
    say("fchmod", fchmod(fd, 06755));
    say("fchmodat", fchmodat(AT_FDCWD, "plant", 02755, 0));
    say("fchmodat2", syscall(452, AT_FDCWD, "plant", 04755, 0));
    say("chmod-high", syscall(SYS_chmod, "plant", 0xff00000000000000ul | 04755));
    say("open", open("plant-2", O_CREAT | O_WRONLY, 04755));
    say("openat", openat(AT_FDCWD, "plant-3", O_CREAT | O_WRONLY, 02755));
    say("creat", syscall(SYS_creat, "plant-4", 06755));
    say("tmpfile", open(".", O_TMPFILE | O_RDWR, 04755));
    struct { uint64_t flags, mode, resolve; } how = { O_CREAT | O_WRONLY, 04755, 0 };
    say("openat2", syscall(437, AT_FDCWD, "plant-5", &how, sizeof how));
    say("mkdir", mkdir("plant-6", 02755));
    say("mknod", mknod("plant-7", S_IFREG | 04755, 0));
    unsigned char cap[20] = { 1, 0, 0, 2, 0x80, 0, 0, 0 };
    say("capability", setxattr("plant", "security.capability", cap, sizeof cap, 0));
    say("fcapability", fsetxattr(fd, "security.capability", cap, sizeof cap, 0));
    return 0;
}
