/* See proclist.h. Format: proc(5), /proc/pid/stat. */
#define _GNU_SOURCE
#include "proclist.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "proc.h"

#define KERNEL_THREAD 0x00200000u /* PF_KTHREAD */
#define ARGS_MAX 4096

static ssize_t slurp(const char *path, char *to, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t n = read(fd, to, size - 1);
  close(fd);
  if (n >= 0) to[n] = 0;
  return n;
}

static bool look(pid_t pid, struct seen *out) {
  char path[40], text[512];
  sprintf(path, "/proc/%d/stat", pid);
  if (slurp(path, text, sizeof text) <= 0) return false;
  char *after = strrchr(text, ')'), state;
  int parent, session;
  unsigned flags;
  unsigned long long started;
  if (!after || sscanf(after + 1, " %c %d %*d %d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &state,
                       &parent, &session, &flags, &started) != 5)
    return false;
  *out = (struct seen){pid, parent, session, started, (flags & KERNEL_THREAD) != 0};
  return state != 'Z' && state != 'X';
}

struct seen *proclist_scan(size_t *count) {
  DIR *d = opendir("/proc");
  struct seen *list = NULL;
  size_t n = 0, cap = 0;
  if (!d) return NULL;
  for (struct dirent *e; (e = readdir(d));) {
    if (!isdigit((unsigned char)e->d_name[0])) continue;
    if (n == cap) {
      struct seen *next = realloc(list, sizeof *list * (cap ? cap *= 2 : (cap = 64)));
      if (!next) break;
      list = next;
    }
    if (look(atoi(e->d_name), &list[n])) n++;
  }
  closedir(d);
  *count = n;
  return list;
}

static int oldest_first(const void *a, const void *b) {
  const struct seen *x = a, *y = b;
  if (x->started != y->started) return x->started < y->started ? -1 : 1;
  return x->pid < y->pid ? -1 : x->pid > y->pid;
}

void proclist_send(struct port *port, uint32_t stream) {
  size_t n = 0;
  struct seen *list = proclist_scan(&n);
  if (!list) {
    port_fail(port, stream, errno, "process", "cannot read /proc in the capsule");
    return;
  }
  qsort(list, n, sizeof *list, oldest_first);
  struct builder all = {0};
  for (size_t i = 0; i < n; i++) {
    if (list[i].kernel || list[i].pid == getpid()) continue;
    struct proc *p = table.procs;
    while (p && (p->exited || p->pid != list[i].pid)) p = p->next;
    char path[40], text[ARGS_MAX];
    const char *args = p ? p->args : text;
    ssize_t size = p ? (ssize_t)p->args_size : 0;
    if (!p) {
      sprintf(path, "/proc/%d/cmdline", list[i].pid);
      size = slurp(path, text, sizeof text);
      if (size < 0) continue; /* ended meanwhile */
      if (size == 0) {
        sprintf(path, "/proc/%d/comm", list[i].pid);
        size = slurp(path, text, sizeof text);
        if (size > 0) text[size - 1] = 0;
      } else {
        text[size++] = 0;
        if (size > 1 && !text[size - 2]) size--;
      }
    }
    struct builder one = {0};
    put_number(&one, F_PID, (uint64_t)list[i].pid);
    if (p) put_string(&one, F_TAG, p->tag);
    for (ssize_t at = 0; at < size; at += (ssize_t)strlen(args + at) + 1) put_string(&one, F_ARG, args + at);
    put_bytes(&all, F_PROCESS, one.data, one.size);
    builder_free(&one);
  }
  free(list);
  port_reply(port, stream, &all);
}
