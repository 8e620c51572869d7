// The mount family, old and new, and chroot.
#include "say.h"
#include <sys/mount.h>

int main(void) {
    mkdir("mount", 0755);
    say("tmpfs", mount("none", "mount", "tmpfs", 0, 0));
    say("bind", mount("/", "mount", 0, MS_BIND | MS_REC, 0));
    say("proc", mount("proc", "mount", "proc", 0, 0));
    say("overlay", mount("overlay", "mount", "overlay", 0, "lowerdir=/:/usr"));
    say("remount", mount(0, "/", 0, MS_REMOUNT | MS_BIND, 0));
    say("umount", umount2("/proc", MNT_DETACH));
    say("pivot_root", syscall(SYS_pivot_root, "mount", "mount"));
    say("open_tree", syscall(428, AT_FDCWD, "/", 1));
    say("move_mount", syscall(429, AT_FDCWD, "/proc", AT_FDCWD, "mount", 0));
    say("fsopen", syscall(430, "tmpfs", 0));
    say("fsconfig", syscall(431, 0, 0, 0, 0, 0));
    say("fsmount", syscall(432, 0, 0, 0));
    say("fspick", syscall(433, AT_FDCWD, "/", 0));
    say("mount_setattr", syscall(442, AT_FDCWD, "/", 0, 0, 0));
    say("statmount", syscall(457, 0, 0, 0, 0));
    say("listmount", syscall(458, 0, 0, 0, 0));
    say("open_tree_attr", syscall(467, AT_FDCWD, "/", 1, 0, 0));
    say("chroot", chroot("mount"));
    for (int i = 0; i < 64; i++)
        if (chdir("..") < 0)
            break;
    say("break-out", open("etc/shadow", O_RDONLY));
    return 0;
}
