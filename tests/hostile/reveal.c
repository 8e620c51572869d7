// Tells outside what it was given, without a byte of it: reveal LABEL OUT [FILE]...
// Writes to OUT a line "NAME HASH" for each variable, and "FILE HOW HASH" for
// each file: read, read again from its beginning, mapped. HASH is FNV-1a, or
// the negative errno. Then it stays until OUT.go is there, at most 20 seconds,
// if LABEL ends in "+".
#include "say.h"
#include <sys/mman.h>

extern char **environ;

static uint64_t hash(const unsigned char *bytes, long length) {
    uint64_t hash = 0xcbf29ce484222325;
    for (long i = 0; i < length; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3;
    return hash;
}

static void tell(FILE *out, const char *name, const char *how, const void *bytes, long length) {
    fprintf(out, "%s%s%s ", name, *how ? " " : "", how);
    if (length < 0)
        fprintf(out, "-%d\n", errno);
    else
        fprintf(out, "%016llx\n", (unsigned long long)hash(bytes, length));
}

static void look(FILE *out, const char *path) {
    static char room[1 << 20];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    tell(out, path, "read", room, fd < 0 ? -1 : read(fd, room, sizeof room));
    memset(room, 0, sizeof room);
    tell(out, path, "seek", room, fd < 0 || lseek(fd, 0, SEEK_SET) ? -1 : read(fd, room, sizeof room));
    struct stat stat;
    void *map = fd < 0 || fstat(fd, &stat) ? MAP_FAILED : mmap(0, stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    tell(out, path, "map", map, map == MAP_FAILED ? -1 : stat.st_size);
}

int main(int argc, char **argv) {
    char name[4096];
    snprintf(name, sizeof name, "%s.part", argv[2]);
    FILE *out = fopen(name, "w");
    if (!out)
        return say("out", -1), 1;
    for (char **at = environ; *at; at++) {
        const char *value = strchr(*at, '=');
        if (!value)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(value - *at), *at);
        tell(out, name, "", value + 1, strlen(value + 1));
    }
    for (int i = 3; i < argc; i++)
        look(out, argv[i]);
    fclose(out);
    snprintf(name, sizeof name, "%s.part", argv[2]);
    if (rename(name, argv[2]))
        return say("rename", -1), 1;
    snprintf(name, sizeof name, "%s.go", argv[2]);
    int stays = argv[1][0] && argv[1][strlen(argv[1]) - 1] == '+';
    for (int i = 0; stays && access(name, F_OK) && i < 2000; i++)
        usleep(10000);
    return 0;
}
