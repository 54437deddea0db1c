/* See cgroup.h. Interface: Linux Documentation/admin-guide/cgroup-v2.rst (cgroup.kill since 5.14). */
#define _GNU_SOURCE
#include "cgroup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int base_fd = -1;
static int *dirs, *spare; /* descriptor per slot; stack of slots that nobody uses */
static int slots, spares, cap;

void cgroup_init(const char *base) {
  mkdir(base, 0755);
  base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (base_fd >= 0 && faccessat(base_fd, "cgroup.procs", W_OK, 0)) {
    close(base_fd);
    base_fd = -1;
  }
}

static int make(void) {
  if (base_fd < 0) return -1;
  if (slots == cap) {
    int next = cap ? 2 * cap : 16;
    int *d = realloc(dirs, sizeof *d * (size_t)next);
    if (d) dirs = d;
    int *s = realloc(spare, sizeof *s * (size_t)next);
    if (s) spare = s;
    if (!d || !s) return -1;
    cap = next;
  }
  char name[16];
  snprintf(name, sizeof name, "p%d", slots);
  if (mkdirat(base_fd, name, 0755) && errno != EEXIST) return -1;
  int fd = openat(base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return -1;
  dirs[slots] = fd;
  return slots++;
}

int cgroup_take(void) { return spares ? spare[--spares] : make(); }
int cgroup_fd(int slot) { return slot < 0 ? -1 : dirs[slot]; }
void cgroup_release(int slot) {
  if (slot >= 0) spare[spares++] = slot;
}
void cgroup_prepare(void) {
  if (spares) return;
  int slot = make();
  if (slot >= 0) spare[spares++] = slot;
}

static ssize_t read_at(int dir, const char *name, char *to, size_t size) {
  int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t n = read(fd, to, size - 1);
  close(fd);
  to[n > 0 ? n : 0] = 0;
  return n;
}

bool cgroup_populated(int slot) {
  char b[256];
  return slot >= 0 && read_at(dirs[slot], "cgroup.events", b, sizeof b) > 0 && strstr(b, "populated 1");
}

/* Below `dir` too: a user may have made groups of his own. */
static int signal_tree(int dir, int signal) {
  int count = 0, fd = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
  FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
  if (f) {
    for (int pid; fscanf(f, "%d", &pid) == 1;)
      if (pid > 1 && kill(pid, signal) == 0) count++;
    fclose(f);
  }
  fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd < 0 ? NULL : fdopendir(fd);
  if (!d) return count;
  for (struct dirent *e; (e = readdir(d));) {
    if (e->d_type != DT_DIR || e->d_name[0] == '.') continue;
    int sub = openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (sub < 0) continue;
    count += signal_tree(sub, signal);
    close(sub);
  }
  closedir(d);
  return count;
}

int cgroup_signal(int slot, int signal) {
  if (slot < 0) return -1;
  if (signal == SIGKILL) {
    if (!cgroup_populated(slot)) return 0;
    int fd = openat(dirs[slot], "cgroup.kill", O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, "1", 1);
    if (fd >= 0) close(fd);
    if (n == 1) return 1;
  }
  return signal_tree(dirs[slot], signal);
}

/* A process in the middle of a system call that cannot be interrupted takes a moment to stop. */
#define FREEZE_PATIENCE_MS 200

bool cgroup_freeze(bool frozen) {
  static bool now;
  if (base_fd < 0 || frozen == now) return true;
  int fd = openat(base_fd, "cgroup.freeze", O_WRONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? -1 : write(fd, frozen ? "1" : "0", 1);
  if (fd >= 0) close(fd);
  if (n != 1) return false;
  now = frozen;
  if (!frozen) return true;
  for (int waited = 0; waited < FREEZE_PATIENCE_MS; waited++) {
    char b[256];
    if (read_at(base_fd, "cgroup.events", b, sizeof b) > 0 && strstr(b, "frozen 1")) return true;
    usleep(1000);
  }
  return false;
}
