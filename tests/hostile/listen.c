// Waits for visitors on a port: listen PORT. Says "ready", then "visited".
#include "say.h"
#include <netinet/in.h>
#include <poll.h>

int main(int argc, char **argv) {
    int port = argc > 1 ? atoi(argv[1]) : 8080, one = 1;
    struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(port) };
    int bare = socket(AF_INET, SOCK_STREAM, 0);
    say("socket", bare);
    say("listen-unbound", listen(bare, 5));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    say("bind", bind(fd, (void *)&here, sizeof here));
    say("listen", listen(fd, 5));
    close(open("listening", O_CREAT | O_WRONLY, 0644));
    struct pollfd wait = { fd, POLLIN, 0 };
    say("visited", poll(&wait, 1, 700));
    return 0;
}
