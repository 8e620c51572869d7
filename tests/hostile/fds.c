// Lists the descriptors it was born with: "fd N".
#include "say.h"

int main(void) {
    for (int fd = 0; fd < 4096; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("fd %d\n", fd);
    return 0;
}
