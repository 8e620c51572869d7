// System V and POSIX IPC: ipc KEY (of a segment that is outside).
#include "say.h"
#include <sys/ipc.h>
#include <sys/shm.h>

int main(int argc, char **argv) {
    key_t key = argc > 1 ? strtol(argv[1], 0, 0) : 1;
    int id = say("shmget", shmget(key, 0, 0));
    say("shmat", (long)shmat(id, 0, 0) == -1 ? -1 : 0);
    say("shm-new", shmget(IPC_PRIVATE, 4096, 0600));
    say("semget", syscall(SYS_semget, IPC_PRIVATE, 1, 0600));
    say("msgget", syscall(SYS_msgget, IPC_PRIVATE, 0600));
    say("mq_open", syscall(SYS_mq_open, "srt", O_CREAT | O_RDWR, 0600, 0));
    return 0;
}
