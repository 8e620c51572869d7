// A program's own seccomp filters: narrowing works, listening does not.
#include "say.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

int main(void) {
    struct sock_filter allow[] = { { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW } };
    struct sock_fprog program = { 1, allow };
    say("narrow", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
    say("narrow-prctl", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
    say("listen", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
    // Still under the old filters: allowing all has allowed nothing.
    say("keyctl", syscall(SYS_keyctl, 0, 0));
    return 0;
}
