// Changes modes, owners, times and attributes: metadata FILE.
#include "say.h"
#include <sys/time.h>
#include <sys/xattr.h>
#include <utime.h>

int main(int argc, char **argv) {
    const char *file = argv[1];
    struct timeval old[2] = { { 1000, 0 }, { 1000, 0 } };
    struct timespec older[2] = { { 2000, 0 }, { 2000, 0 } };
    struct utimbuf oldest = { 3000, 3000 };
    (void)argc;
    say("chmod", chmod(file, 0640));
    say("fchmodat", fchmodat(AT_FDCWD, file, 0644, 0));
    say("utimes", utimes(file, old));
    say("utimensat", utimensat(AT_FDCWD, file, older, 0));
    say("utime", utime(file, &oldest));
    say("chown", chown(file, getuid(), getgid()));
    say("lchown", lchown(file, getuid(), getgid()));
    say("setxattr", setxattr(file, "user.mark", "x", 1, 0));
    return 0;
}
