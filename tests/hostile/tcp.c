// Reaches a port on the loopback in every way: tcp PORT.
#include "say.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

int main(int argc, char **argv) {
    int port = argc > 1 ? atoi(argv[1]) : 80, one = 1;
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct sockaddr_in6 mapped = v6;
    inet_pton(AF_INET6, "::ffff:127.0.0.1", &mapped.sin6_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    say("v4", fd < 0 ? -1 : connect(fd, (void *)&v4, sizeof v4));
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    say("v6", fd < 0 ? -1 : connect(fd, (void *)&v6, sizeof v6));
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    say("mapped", fd < 0 ? -1 : connect(fd, (void *)&mapped, sizeof mapped));
    fd = socket(AF_INET, SOCK_STREAM, 262);
    say("mptcp", fd < 0 ? -1 : connect(fd, (void *)&v4, sizeof v4));
    fd = socket(AF_INET, SOCK_STREAM, 0);
    say("fastopen", fd < 0 ? -1 : sendto(fd, "hit", 3, MSG_FASTOPEN, (void *)&v4, sizeof v4));
    fd = socket(AF_INET, SOCK_STREAM, 0);
    say("fastopen-option", fd < 0 ? -1 : setsockopt(fd, SOL_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof one));
    fd = socket(43, SOCK_STREAM, 0);
    say("smc", fd < 0 ? -1 : connect(fd, (void *)&v4, sizeof v4));
    return 0;
}
