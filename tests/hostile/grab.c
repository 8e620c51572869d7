// Takes hold of another process: grab PID. Lets go again at once.
#include "say.h"
#include <sys/ptrace.h>
#include <sys/uio.h>

int main(int argc, char **argv) {
    int pid = argc > 1 ? atoi(argv[1]) : 1;
    char byte = 0, name[64], room[4096];
    struct iovec ours = { &byte, 1 }, theirs = { (void *)&main, 1 };
    say("process_vm_readv", process_vm_readv(pid, &ours, 1, &theirs, 1, 0));
    say("process_vm_writev", process_vm_writev(pid, &ours, 1, &theirs, 1, 0));
    int pidfd = say("pidfd_open", syscall(SYS_pidfd_open, pid, 0));
    say("pidfd_getfd", syscall(438, pidfd, 0, 0));
    say("kcmp", syscall(SYS_kcmp, pid, getpid(), 0, 0, 0));
    say("process_madvise", syscall(440, pidfd, &theirs, 1, 20, 0));
    say("process_mrelease", syscall(448, pidfd, 0));
    say("move_pages", syscall(SYS_move_pages, pid, 0, 0, 0, 0, 0));
    say("migrate_pages", syscall(SYS_migrate_pages, pid, 0, 0, 0));
    const char *files[] = { "mem", "maps", "environ", "auxv", "syscall", "stack", "smaps_rollup", "fd/0", "cwd/.", "root/etc", "map_files" };
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(name, sizeof name, "/proc/%d/%s", pid, files[i]);
        int fd = open(name, O_RDONLY);
        // Opening is not having: what counts is a byte of it.
        int got = fd < 0 ? -1 : strcmp(files[i], "mem") ? (int)read(fd, &byte, 1) : fd;
        if (got < 0 && errno == EISDIR)
            got = syscall(SYS_getdents64, fd, room, sizeof room);
        // Only "." and "..": its own folder, and nothing of the process.
        if (got == 48)
            got = -1, errno = EACCES;
        char step[32];
        snprintf(step, sizeof step, "open-%s", files[i]);
        say(step, got);
    }
    if (say("attach", ptrace(PTRACE_ATTACH, pid, 0, 0)) == 0) {
        waitpid(pid, 0, __WALL);
        ptrace(PTRACE_DETACH, pid, 0, 0);
    }
    if (say("seize", ptrace(PTRACE_SEIZE, pid, 0, 0)) == 0) {
        ptrace(PTRACE_INTERRUPT, pid, 0, 0);
        waitpid(pid, 0, __WALL);
        ptrace(PTRACE_DETACH, pid, 0, 0);
    }
    return 0;
}
