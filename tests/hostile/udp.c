// Sends datagrams to a port on the loopback, and raw packets: udp PORT.
#include "say.h"
#include <arpa/inet.h>
#include <netinet/in.h>

int main(int argc, char **argv) {
    int port = argc > 1 ? atoi(argv[1]) : 53;
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    say("udp", fd < 0 ? -1 : sendto(fd, "hit", 3, 0, (void *)&to, sizeof to));
    say("udplite", socket(AF_INET, SOCK_DGRAM, 136));
    say("ping", socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    say("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    say("raw-udp", socket(AF_INET, SOCK_RAW, IPPROTO_UDP));
    say("packet", socket(AF_PACKET, SOCK_RAW, 0x300));
    say("sctp", socket(AF_INET, SOCK_SEQPACKET, 132));
    say("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    say("alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
    return 0;
}
