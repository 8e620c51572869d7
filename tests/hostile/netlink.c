// Every netlink protocol; a dump of links over ROUTE.
#include "say.h"
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

int main(void) {
    char step[32], buffer[8192];
    for (int protocol = 0; protocol < 32; protocol++) {
        snprintf(step, sizeof step, "protocol-%d", protocol);
        int fd = say(step, socket(AF_NETLINK, SOCK_RAW, protocol));
        if (fd < 0 || protocol != NETLINK_ROUTE)
            continue;
        struct { struct nlmsghdr head; struct rtgenmsg body; } ask = {
            { sizeof ask, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { AF_UNSPEC } };
        say("dump-asked", send(fd, &ask, sizeof ask, 0));
        say("dump", recv(fd, buffer, sizeof buffer, 0));
        struct { struct nlmsghdr head; struct ifinfomsg body; } down = {
            { sizeof down, RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, 2, 0 }, { 0, 0, 0, 1, 0, 1 } };
        fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
        send(fd, &down, sizeof down, 0);
        recv(fd, buffer, sizeof buffer, 0);
        struct nlmsgerr *error = NLMSG_DATA((struct nlmsghdr *)buffer);
        printf("change %d\n", error->error);
    }
    return 0;
}
