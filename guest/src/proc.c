/* See proc.h. Life, death and the records kept afterwards. */
#define _GNU_SOURCE
#include "proc.h"
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cgroup.h"

struct table table;

static void on_child(struct source *s, uint32_t events) {
  (void)s;
  (void)events;
  struct signalfd_siginfo info[8];
  while (read(table.child_fd, info, sizeof info) == sizeof info) {
  }
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    struct proc *p = table.procs;
    while (p && (p->exited || p->pid != pid)) p = p->next;
    if (p) proc_exited(p, status); /* else an orphan that pid 1 inherited */
  }
}

int table_init(struct loop *loop, struct port *ctl) {
  table = (struct table){.loop = loop, .ctl = ctl, .child_source.ready = on_child};
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  table.child_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  return table.child_fd < 0 ? -1 : loop_add(loop, table.child_fd, &table.child_source, EPOLLIN);
}

struct proc *proc_running_tag(const char *tag) {
  for (struct proc *p = table.procs; p; p = p->next)
    if (!p->exited && !strcmp(p->tag, tag)) return p;
  return NULL;
}

struct proc *proc_find(const char *selector) {
  bool digits = *selector != 0;
  for (const char *c = selector; *c; c++) digits = digits && isdigit((unsigned char)*c);
  long pid = digits ? strtol(selector, NULL, 10) : -1;
  struct proc *ended = NULL;
  for (struct proc *p = table.procs; p; p = p->next) {
    if (digits ? p->pid != pid : strcmp(p->tag, selector) != 0) continue;
    if (!p->exited) return p;
    if (!ended) ended = p;
  }
  /* a pid that lives again belongs to somebody else: never serve the old exit for it */
  if (ended && digits && kill(ended->pid, 0) == 0) return NULL;
  return ended;
}

void proc_add(struct proc *p) {
  p->next = table.procs;
  table.procs = p;
}

void proc_free(struct proc *p) {
  for (int i = 0; i < p->outputs; i++) {
    if (p->out[i].fd >= 0) close(p->out[i].fd);
    ring_free(&p->out[i].ring);
  }
  if (!p->pty && p->input_fd >= 0) close(p->input_fd);
  input_drop(p);
  while (p->attached) attach_remove(p, p->attached->stream);
  free(p->args);
  free(p);
}

void table_sweep(void) {
  if (!table.changed) return;
  table.changed = false;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int records = 0;
  uint64_t bytes = 0;
  for (struct proc **at = &table.procs; *at;) {
    struct proc *p = *at;
    if (p->cgroup >= 0 && p->exited && !cgroup_populated(p->cgroup)) {
      cgroup_release(p->cgroup);
      p->cgroup = -1;
    }
    bool idle = p->finished && !p->attached && p->cgroup < 0;
    for (int i = 0; i < p->outputs; i++) {
      if (p->finished) bytes += p->out[i].ring.cap;
      if (idle && bytes > RECORDS_BYTES) ring_free(&p->out[i].ring);
      if (p->out[i].fd >= 0) idle = false; /* its children still hold the pipe: keep reading, or they get SIGPIPE */
    }
    if (idle && (++records > RECORDS_MAX || now.tv_sec - p->ended > RECORDS_AGE_SEC)) {
      *at = p->next;
      proc_free(p);
    } else {
      at = &p->next;
    }
  }
}
