// Watches folders: watch FOLDER...
#include "say.h"
#include <sys/inotify.h>

int main(int argc, char **argv) {
    int fd = inotify_init();
    for (int i = 1; i < argc; i++)
        say(argv[i], inotify_add_watch(fd, argv[i], IN_ALL_EVENTS));
    return 0;
}
