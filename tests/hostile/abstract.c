// Reaches an abstract socket: abstract NAME.
#include "say.h"
#include <stddef.h>
#include <sys/un.h>

int main(int argc, char **argv) {
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    (void)argc;
    strncpy(to.sun_path + 1, argv[1], sizeof to.sun_path - 2);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(argv[1]);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    say("connect", fd < 0 ? -1 : connect(fd, (void *)&to, length));
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    say("sendto", fd < 0 ? -1 : sendto(fd, "hit", 3, 0, (void *)&to, length));
    return 0;
}
