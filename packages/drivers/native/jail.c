/*
 * jail: starts one program confined, and gets out of the way. Part of aviary-host; see host-tool.c.
 *
 * The program gets: a mount namespace that holds only a read-only root and the binds asked for; pid, ipc and
 * uts namespaces of its own; the network namespace asked for; one unprivileged user and group, no
 * capabilities, no new privileges; resource limits; cgroups. It is a child of init, so it outlives us.
 *
 *   aviary-host jail --root DIR [--bind SRC DST ro|rw]... [--fd N FILE]... [--netns FILE] [--cgroup FILE]...
 *       --uid N --log FILE [--limit-fsize BYTES] [--env K=V]... -- PROGRAM ARGS...
 *
 * Prints the program's pid in our namespace once exec has succeeded; otherwise says what failed, exit 1.
 */
#include "host-tool.h"
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define MAX 16
struct bind { const char *src, *dst; int rw; };
struct pass { int number, fd; };

static int report = -1;

/* Says what failed through the pipe to the waiting parent; the pipe closes by itself when exec succeeds. */
static void give_up(const char *what, const char *path) {
  char text[512];
  int n = snprintf(text, sizeof text, "%s %s: %s", what, path ? path : "", strerror(errno));
  if (n > (int)sizeof text) n = sizeof text;
  if (write(report, text, n) < 0) _exit(2);
  _exit(1);
}

static void join_cgroup(const char *procs_file) {
  int fd = open(procs_file, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, "0", 1) != 1) give_up("cannot enter cgroup", procs_file);
  close(fd);
}

static void build_root(const char *root, const struct bind *binds, int count) {
  if (mount("none", "/", 0, MS_REC | MS_PRIVATE, 0)) give_up("cannot make mounts private", "/");
  if (mount(root, root, 0, MS_BIND, 0)) give_up("cannot bind", root);
  for (int i = 0; i < count; i++) {
    char dst[4096];
    snprintf(dst, sizeof dst, "%s%s", root, binds[i].dst);
    if (mount(binds[i].src, dst, 0, MS_BIND, 0)) give_up("cannot bind", binds[i].src);
    int device = strncmp(binds[i].dst, "/dev/", 5) == 0;
    unsigned long flags = MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NOEXEC;
    if (!device) flags |= MS_NODEV;
    if (!binds[i].rw) flags |= MS_RDONLY;
    if (mount(0, dst, 0, flags, 0)) give_up("cannot restrict", dst);
  }
  if (mount(0, root, 0, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, 0)) give_up("cannot restrict", root);
  /* pivot_root(".", ".") stacks the old root on the new one; detaching it leaves only the new (pivot_root(2)). */
  if (chdir(root)) give_up("cannot enter", root);
  if (syscall(SYS_pivot_root, ".", ".")) give_up("cannot pivot to", root);
  if (umount2(".", MNT_DETACH)) give_up("cannot detach the old root", "");
  if (chdir("/")) give_up("cannot enter", "/");
}

static void limit(int what, rlim_t value) {
  struct rlimit r = {value, value};
  if (setrlimit(what, &r)) give_up("cannot set a resource limit", "");
}

static void drop_privileges(unsigned uid) {
  for (int cap = 0; cap < 64; cap++)
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) && errno != EINVAL) give_up("cannot drop a capability", "");
  if (setgroups(0, 0) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid)) give_up("cannot become user", "");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) give_up("cannot forbid new privileges", "");
}

/* Moves the kept descriptors to their numbers and closes every other one. */
static void arrange_fds(const struct pass *passes, int count, int log) {
  int null = open("/dev/null", O_RDWR);
  if (null < 0) give_up("cannot open", "/dev/null");
  int high[MAX];
  for (int i = 0; i < count; i++) {
    high[i] = fcntl(passes[i].fd, F_DUPFD_CLOEXEC, 600);
    if (high[i] < 0) give_up("cannot keep a file", "");
  }
  int r = fcntl(report, F_DUPFD_CLOEXEC, 700), l = fcntl(log, F_DUPFD_CLOEXEC, 700);
  int n = fcntl(null, F_DUPFD_CLOEXEC, 700);
  report = r;
  if (dup2(n, 0) < 0 || dup2(l, 1) < 0 || dup2(l, 2) < 0) give_up("cannot set the standard streams", "");
  syscall(SYS_close_range, 3, 599, 0);
  for (int i = 0; i < count; i++)
    if (dup2(high[i], passes[i].number) < 0) give_up("cannot place a file", "");
  /* 600 and up are close-on-exec duplicates; everything above 720 is somebody else's. */
  syscall(SYS_close_range, 720, ~0U, 0);
}

int jail_main(int argc, char **argv) {
  const char *root = 0, *netns = 0, *log_path = 0, *cgroups[MAX];
  char *env[MAX + 1];
  struct bind binds[MAX];
  struct pass passes[MAX];
  int nbind = 0, npass = 0, ncg = 0, nenv = 0, i = 1;
  unsigned uid = 0;
  rlim_t fsize = RLIM_INFINITY;
  for (; i < argc && strcmp(argv[i], "--"); i++) {
    int left = argc - i - 1;
    if (!strcmp(argv[i], "--root") && left >= 1) root = argv[++i];
    else if (!strcmp(argv[i], "--bind") && left >= 3 && nbind < MAX) {
      binds[nbind++] = (struct bind){argv[i + 1], argv[i + 2], !strcmp(argv[i + 3], "rw")};
      i += 3;
    } else if (!strcmp(argv[i], "--fd") && left >= 2 && npass < MAX) {
      passes[npass].number = atoi(argv[i + 1]);
      passes[npass].fd = open(argv[i + 2], O_RDONLY | O_CLOEXEC);
      if (passes[npass++].fd < 0) return fail("cannot open %s: %s", argv[i + 2], strerror(errno));
      i += 2;
    } else if (!strcmp(argv[i], "--netns") && left >= 1) netns = argv[++i];
    else if (!strcmp(argv[i], "--cgroup") && left >= 1 && ncg < MAX) cgroups[ncg++] = argv[++i];
    else if (!strcmp(argv[i], "--uid") && left >= 1) uid = strtoul(argv[++i], 0, 10);
    else if (!strcmp(argv[i], "--log") && left >= 1) log_path = argv[++i];
    else if (!strcmp(argv[i], "--limit-fsize") && left >= 1) fsize = strtoull(argv[++i], 0, 10);
    else if (!strcmp(argv[i], "--env") && left >= 1 && nenv < MAX) env[nenv++] = argv[++i];
    else return fail("jail: unexpected argument %s", argv[i]);
  }
  env[nenv] = 0;
  if (!root || !uid || !log_path || i + 1 >= argc) return fail("jail: --root, --uid, --log and a program are needed");
  char **program = argv + i + 1;

  int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600), pipes[2];
  if (log < 0) return fail("cannot open %s: %s", log_path, strerror(errno));
  if (pipe2(pipes, O_CLOEXEC)) return fail("cannot make a pipe: %s", strerror(errno));
  report = pipes[1];
  for (int c = 0; c < ncg; c++) join_cgroup(cgroups[c]);
  if (netns) {
    int fd = open(netns, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || setns(fd, CLONE_NEWNET)) return fail("cannot enter network namespace %s: %s", netns, strerror(errno));
    close(fd);
  }
  if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)) return fail("cannot unshare: %s", strerror(errno));
  pid_t pid = fork();
  if (pid < 0) return fail("cannot fork: %s", strerror(errno));
  if (pid == 0) {
    setsid();
    build_root(root, binds, nbind);
    arrange_fds(passes, npass, log);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, 512);
    limit(RLIMIT_FSIZE, fsize);
    limit(RLIMIT_MSGQUEUE, 0);
    drop_privileges(uid);
    execve(program[0], program, env);
    give_up("cannot run", program[0]);
  }
  close(pipes[1]);
  char text[512];
  ssize_t n = read(pipes[0], text, sizeof text - 1);
  if (n > 0) {
    text[n] = 0;
    waitpid(pid, 0, 0);
    return fail("jail: %s", text);
  }
  printf("%d\n", pid);
  return 0;
}
