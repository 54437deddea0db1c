/* See signals.h. With cgroups the kernel knows the tree; without (tests on a host) and for processes that are not
 * ours it is found by parent and session. */
#define _GNU_SOURCE
#include "signals.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "cgroup.h"
#include "proc.h"
#include "proclist.h"

/* Signals `root` and everything below it; returns how many. */
static int walk(pid_t root, int signal) {
  size_t n = 0;
  struct seen *list = proclist_scan(&n);
  bool *hit = list ? calloc(n, 1) : NULL;
  int count = 0;
  for (bool more = hit != NULL; more;) {
    more = false;
    for (size_t i = 0; i < n; i++) {
      if (hit[i] || list[i].kernel || list[i].pid == getpid()) continue;
      bool in = list[i].pid == root || list[i].session == root;
      for (size_t k = 0; k < n && !in; k++) in = hit[k] && list[k].pid == list[i].parent;
      if (in) hit[i] = more = true;
    }
  }
  for (size_t i = 0; i < n && hit; i++)
    if (hit[i] && kill(list[i].pid, signal) == 0) count++;
  free(hit);
  free(list);
  return count;
}

static int tree(pid_t root, int signal) {
  int count = walk(root, signal), again = count;
  /* what was forked while we looked: until nothing is found */
  for (int i = 0; signal == SIGKILL && again > 0 && i < 20; i++) again = walk(root, signal);
  return count;
}

void signals_send(struct port *port, uint32_t stream, const uint8_t *data, size_t size) {
  struct field f;
  int signal = (int)find_number(data, size, F_SIGNAL, SIGKILL), count = 0;
  char *selector = field_find(data, size, F_SELECTOR, &f) ? field_string(&f) : NULL, *end = NULL;
  if (!selector || signal < 1 || signal > 64) {
    port_fail(port, stream, EINVAL, "request", "no process selector, or no such signal");
    free(selector);
    return;
  }
  struct proc *p = proc_find(selector);
  long pid = strtol(selector, &end, 10);
  if (p && p->cgroup >= 0) {
    count = cgroup_signal(p->cgroup, signal);
  } else if (p && !p->exited) {
    count = tree(p->pid, signal);
  } else if (!p && *selector && !*end && pid > 1 && pid != getpid()) {
    size_t n = 0;
    struct seen *list = proclist_scan(&n);
    for (size_t i = 0; i < n; i++)
      if (list[i].pid == pid && !list[i].kernel) count = -1;
    free(list);
    if (count) count = tree((pid_t)pid, signal);
  }
  free(selector);
  struct builder b = {0};
  if (count > 0) port_reply(port, stream, &b);
  else port_fail(port, stream, ESRCH, "process", "no running process with this pid or tag");
}
