/* See init.h. The kernel facts are those of Debian's 6.1 cloud kernel: ext4 is built in, virtio comes as modules
 * that the initramfs carries in /m, in the order of /m/order. */
#define _GNU_SOURCE
#include "init.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "bulk.h"
#include "control.h"
#include "identity.h"
#include "network.h"
#include "restore.h"

#define DISK "/dev/vda"
#define DISK_WAIT_MS 10000

/* The capsule cannot work: say why where the driver can read it, then let the kernel panic. */
static _Noreturn void fatal(const char *what) {
  char line[300];
  int err = errno, fd = open("/dev/console", O_WRONLY | O_NOCTTY);
  int n = snprintf(line, sizeof line, "aviary agent: %s: %s\n", what, strerror(err));
  if (fd >= 0 && write(fd, line, (size_t)n) < 0) _exit(2);
  _exit(1);
}

static void must_mount(const char *what, const char *where, const char *type, unsigned long flags, const char *data) {
  mkdir(where, 0755);
  if (mount(what, where, type, flags, data) && errno != EBUSY) fatal(where);
}

static void load_modules(void) {
  char name[80], path[120];
  FILE *order = fopen("/m/order", "re");
  if (!order) return; /* a kernel with everything built in */
  while (fgets(name, sizeof name, order)) {
    name[strcspn(name, "\r\n")] = 0;
    snprintf(path, sizeof path, "/m/%s", name);
    int fd = *name ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) continue; /* this kernel has it built in */
    if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST) {
      fprintf(stderr, "aviary agent: module %s: %s\n", name, strerror(errno));
    }
    close(fd);
  }
  fclose(order);
}

/* Devices appear a moment after their driver; there is no event to wait for without udev. */
static void wait_for(const char *path) {
  struct timespec ms = {0, 1000000};
  for (int i = 0; i < DISK_WAIT_MS && access(path, F_OK); i++) nanosleep(&ms, NULL);
  if (access(path, F_OK)) fatal(path);
}

static void enter_root(void) {
  wait_for(DISK);
  must_mount(DISK, "/newroot", "ext4", MS_NOATIME, NULL);
  const char *moved[] = {"/proc", "/sys", "/dev", NULL};
  for (int i = 0; moved[i]; i++) {
    char to[32];
    snprintf(to, sizeof to, "/newroot%s", moved[i]);
    mkdir(to, 0755);
    if (mount(moved[i], to, NULL, MS_MOVE, NULL)) fatal(to);
  }
  if (chdir("/newroot") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/")) fatal("entering the disk");
}

static void mounts(void) {
  must_mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
  must_mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "ptmxmode=666,mode=620,gid=5");
  must_mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
  must_mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mkdir("/tmp", 01777);
  chmod("/tmp", 01777);
  mkdir("/run/lock", 01777);
  mkdir("/run/aviary", 0755);
  const char *links[][2] = {{"/proc/self/fd", "/dev/fd"},
                            {"fd/0", "/dev/stdin"},
                            {"fd/1", "/dev/stdout"},
                            {"fd/2", "/dev/stderr"}};
  for (int i = 0; i < 4; i++)
    if (symlink(links[i][0], links[i][1]) && errno != EEXIST) fatal(links[i][1]);
}

/* stdio is /dev/null for the agent and everything that forgets to close it. */
static void null_stdio(void) {
  int fd = open("/dev/null", O_RDWR);
  if (fd < 0) fatal("/dev/null");
  for (int i = 0; i < 3; i++) dup2(fd, i);
  if (fd > 2) close(fd);
}

static void protect_self(void) {
  struct rlimit files = {65536, 1048576};
  setrlimit(RLIMIT_NOFILE, &files); /* children inherit it */
  int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, "-1000", 5) != 5) fatal("/proc/self/oom_score_adj");
  close(fd);
}

/* The device of the port with this name: /sys/class/virtio-ports/vportNpM/name. */
static bool find_port(const char *name, char *device, size_t size) {
  DIR *d = opendir("/sys/class/virtio-ports");
  bool found = false;
  if (!d) return false;
  for (struct dirent *e; !found && (e = readdir(d));) {
    char path[320], text[64];
    snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", e->d_name);
    int fd = e->d_name[0] == '.' ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (n <= 0) continue;
    text[n] = 0;
    text[strcspn(text, "\n")] = 0;
    if (strcmp(text, name)) continue;
    snprintf(device, size, "/dev/%s", e->d_name);
    found = true;
  }
  closedir(d);
  return found;
}

static void wait_port(const char *name, char *device, size_t size) {
  struct timespec ms = {0, 1000000};
  for (int i = 0; i < DISK_WAIT_MS; i++) {
    if (find_port(name, device, size) && !access(device, F_OK)) return;
    nanosleep(&ms, NULL);
  }
  errno = ENODEV;
  fatal(name);
}

_Noreturn void init_run(void) {
  unsigned char boot[16];
  char ctl[300], bulk[300];
  identity.init = true;
  identity.run = "/run/aviary";
  must_mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  must_mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  must_mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=755");
  load_modules();
  enter_root();
  mounts();
  null_stdio();
  protect_self();
  network_up();
  restore_prepare();
  wait_port("ctl", ctl, sizeof ctl);
  wait_port("bulk", bulk, sizeof bulk);
  if (getrandom(boot, sizeof boot, 0) != sizeof boot) fatal("random numbers");
  if (bulk_start(bulk, NULL, boot)) fatal("the bulk port");
  control_run(ctl, NULL, "/sys/fs/cgroup/aviary", boot);
  fatal("the ctl port");
}
