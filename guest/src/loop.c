/* See loop.h. */
#include "loop.h"
#include <sys/epoll.h>

int loop_init(struct loop *l) {
  return l->epoll = epoll_create1(EPOLL_CLOEXEC);
}

int loop_add(struct loop *l, int fd, struct source *s, uint32_t events) {
  struct epoll_event e = {.events = events | EPOLLET, .data.ptr = s};
  return epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e);
}

_Noreturn void loop_run(struct loop *l, int (*idle)(void *), void *arg) {
  struct epoll_event batch[64];
  int timeout = idle(arg);
  for (;;) {
    int n = epoll_wait(l->epoll, batch, 64, timeout);
    for (int i = 0; i < n; i++) {
      struct source *s = batch[i].data.ptr;
      s->ready(s, batch[i].events);
    }
    timeout = idle(arg);
  }
}
