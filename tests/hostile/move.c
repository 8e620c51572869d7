// Moves, exchanges and links between inside and outside: move OWN OUTSIDE.
#include "say.h"
#include <linux/fs.h>

int main(int argc, char **argv) {
    const char *own = argv[1], *outside = argv[2];
    char there[4096], here[4096];
    (void)argc;
    snprintf(there, sizeof there, "%s.moved", outside);
    snprintf(here, sizeof here, "%s.taken", own);
    say("control-link", link(own, "control"));
    say("control-rename", rename("control", "control-2"));
    say("link-in", link(outside, here));
    say("linkat-in", linkat(AT_FDCWD, outside, AT_FDCWD, here, AT_SYMLINK_FOLLOW));
    say("rename-in", rename(outside, here));
    say("rename-out", rename(own, there));
    say("link-out", link(own, there));
    say("exchange", renameat2(AT_FDCWD, own, AT_FDCWD, outside, RENAME_EXCHANGE));
    say("exchange-back", renameat2(AT_FDCWD, outside, AT_FDCWD, own, RENAME_EXCHANGE));
    say("over", rename(own, outside));
    say("unlink", unlink(outside));
    say("truncate", truncate(outside, 0));
    say("write", open(outside, O_WRONLY | O_APPEND));
    say("create", open(there, O_WRONLY | O_CREAT, 0600));
    say("symlink", symlink("/", there));
    return 0;
}
