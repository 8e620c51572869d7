// Reaches a socket by its path in every way: unix PATH.
#include "say.h"
#include <sys/un.h>

static struct sockaddr_un address(const char *path) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    strncpy(to.sun_path, path, sizeof to.sun_path - 1);
    return to;
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        struct sockaddr_un to = address(argv[i]);
        const struct { const char *name; int type; } types[] = {
            { "stream", SOCK_STREAM }, { "seqpacket", SOCK_SEQPACKET }, { "dgram", SOCK_DGRAM } };
        for (unsigned t = 0; t < 3; t++) {
            int fd = socket(AF_UNIX, types[t].type, 0);
            say(types[t].name, fd < 0 ? -1 : connect(fd, (void *)&to, sizeof to));
            if (fd >= 0 && write(fd, "hit", 3) < 0)
                errno = 0;
        }
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
        say("sendto", fd < 0 ? -1 : sendto(fd, "hit", 3, 0, (void *)&to, sizeof to));
        struct iovec data = { "hit", 3 };
        struct mmsghdr many = { .msg_hdr = { &to, sizeof to, &data, 1, 0, 0, 0 } };
        say("sendmsg", fd < 0 ? -1 : sendmsg(fd, &many.msg_hdr, 0));
        say("sendmmsg", fd < 0 ? -1 : sendmmsg(fd, &many, 1, 0));
        int pair[2];
        int made = socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
        say("pair", made);
        say("pair-sendto", made < 0 ? -1 : sendto(pair[0], "hit", 3, 0, (void *)&to, sizeof to));
        made = socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
        say("control-pair", made);
        say("pair-stream", made < 0 ? -1 : connect(pair[0], (void *)&to, sizeof to));
    }
    return 0;
}
