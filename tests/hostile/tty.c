// Types into, steals and redirects a terminal on standard input.
#include "say.h"
#include <sys/ioctl.h>

int main(void) {
    char c = 'X';
    int zero = 0;
    struct winsize size;
    printf("terminal %d\n", isatty(0));
    say("control-size", ioctl(0, TIOCGWINSZ, &size));
    say("sti", ioctl(0, TIOCSTI, &c));
    say("sti-high", syscall(SYS_ioctl, 0, 0xdeadbeef00000000ul | TIOCSTI, &c));
    say("linux", ioctl(0, TIOCLINUX, &c));
    say("cons", ioctl(0, TIOCCONS, 0));
    say("setd", ioctl(0, TIOCSETD, &zero));
    setsid();
    say("sctty", ioctl(0, TIOCSCTTY, 1));
    say("dev-tty", open("/dev/tty", O_RDWR));
    say("ptmx", open("/dev/ptmx", O_RDWR | O_NOCTTY));
    return 0;
}
