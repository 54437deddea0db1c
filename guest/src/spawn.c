/* See spawn.h. The child shares the agent's memory until execve, so between clone and exec it only makes system
 * calls and writes into *s and its own stack; the parent is suspended meanwhile (CLONE_VFORK). */
#define _GNU_SOURCE
#include "spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK (128 << 10)

static void say(const char *name, const char *why) {
  char line[600];
  size_t n = strlen(name);
  if (n > 400) n = 400;
  char *p = mempcpy(mempcpy(mempcpy(line, "cannot run '", 12), name, n), "': ", 3);
  p = mempcpy(p, why, strlen(why));
  *p++ = '\n';
  ssize_t done = write(2, line, (size_t)(p - line));
  (void)done; /* stderr is a pipe of ours with room; there is nobody else to tell */
}

/* execve; a file without #! is a shell script, as for execvp(3). */
static void try_exec(struct spawn *s, const char *file) {
  execve(file, s->argv, s->envp);
  if (errno != ENOEXEC) return;
  int argc = 0;
  while (s->argv[argc]) argc++;
  if (argc > 4000) {
    errno = E2BIG;
    return;
  }
  char *argv[argc + 2];
  argv[0] = "sh";
  argv[1] = (char *)file;
  for (int i = 1; i <= argc; i++) argv[i + 1] = s->argv[i];
  execve("/bin/sh", argv, s->envp);
}

static int fail(struct spawn *s, const char *stage) {
  s->stage = stage;
  s->err = errno;
  return 127;
}

static int child(void *arg) {
  struct spawn *s = arg;
  struct sigaction dfl = {.sa_handler = SIG_DFL};
  sigaction(SIGPIPE, &dfl, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  setsid();
  if (s->tty) ioctl(s->fds[0], TIOCSCTTY, 0);
  for (int i = 0; i < 3; i++)
    if (dup2(s->fds[i], i) < 0) return fail(s, "stdio");
  if (s->init) {
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
      ssize_t n = write(fd, "0", 1);
      if (n < 0) return fail(s, "oom");
      close(fd);
    }
  }
  const struct user *u = s->user;
  if (geteuid() == 0) {
    /* raw calls: glibc's wrappers would change the ids of every thread of the process they are in */
    if (syscall(SYS_setgroups, u->ngroups, u->groups)) return fail(s, "user");
    if (u->gid && syscall(SYS_setresgid, u->gid, u->gid, u->gid)) return fail(s, "user");
    if (u->uid && syscall(SYS_setresuid, u->uid, u->uid, u->uid)) return fail(s, "user");
  }
  if (chdir(s->cwd)) return fail(s, "cwd");
  const char *name = s->argv[0];
  int worst = ENOENT;
  if (strchr(name, '/')) {
    try_exec(s, name);
    worst = errno;
  } else if (*name) {
    for (const char *p = s->path; *p;) {
      const char *end = strchrnul(p, ':');
      char file[4352];
      size_t n = (size_t)(end - p), m = strlen(name);
      if (n < 4096 && m < 255) {
        char *q = mempcpy(file, p, n);
        *q++ = '/';
        memcpy(q, name, m + 1);
        try_exec(s, n ? file : name);
        if (errno != ENOENT && errno != ENOTDIR) worst = errno;
        if (errno == E2BIG || errno == ENOMEM) break;
      }
      p = *end ? end + 1 : end;
    }
  }
  errno = worst;
  if (worst == E2BIG || worst == ENOMEM || worst == EAGAIN) return fail(s, "exec");
  if (worst == ENOENT || worst == ENOTDIR) {
    say(name, "no such program");
    return 127;
  }
  say(name, worst == EACCES ? "permission denied" : worst == ENOEXEC ? "not a program for this machine" : strerrordesc_np(worst));
  return 126;
}

#if defined(__x86_64__)
/* clone3 with a stack of its own for the child; glibc exports no wrapper. */
static long clone3_run(struct clone_args *a, int (*fn)(void *), void *arg) {
  long ret;
  register void *f __asm__("r12") = (void *)fn;
  register void *v __asm__("r13") = arg;
  __asm__ volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r13, %%rdi\n\t"
      "call *%%r12\n\t"
      "mov %%eax, %%edi\n\t"
      "mov %[exit], %%eax\n\t"
      "syscall\n\t"
      "hlt\n"
      "1:\n\t"
      : "=a"(ret)
      : "0"((long)SYS_clone3), "D"(a), "S"(sizeof *a), "r"(f), "r"(v), [exit] "i"(SYS_exit)
      : "rcx", "r11", "memory", "cc");
  return ret;
}
#endif

pid_t spawn_run(struct spawn *s) {
  static char *stack;
  if (!stack) stack = aligned_alloc(64, STACK);
  if (!stack) {
    errno = ENOMEM;
    fail(s, "start");
    return -1;
  }
  s->stage = NULL;
  s->err = 0;
  long pid = -ENOSYS;
#if defined(__x86_64__)
  if (s->cgroup >= 0) {
    struct clone_args a = {.flags = CLONE_VM | CLONE_VFORK | CLONE_INTO_CGROUP,
                           .exit_signal = SIGCHLD,
                           .stack = (uint64_t)(uintptr_t)stack,
                           .stack_size = STACK,
                           .cgroup = (uint64_t)s->cgroup};
    pid = clone3_run(&a, child, s);
  }
#endif
  if (pid == -ENOSYS) {
    pid = clone(child, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, s);
    if (pid < 0) pid = -errno;
  }
  if (pid < 0) {
    errno = (int)-pid;
    fail(s, "start");
    return -1;
  }
  if (!s->stage) return (pid_t)pid;
  while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR) {
  }
  return -1;
}
