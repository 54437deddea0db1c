/* An epoll loop of one thread. Sources are edge-triggered: their owners remember readiness and clear it at EAGAIN.
 * A structure that holds a source is freed only between batches (see loop_run's `idle`). */
#ifndef LOOP_H
#define LOOP_H
#include <stdint.h>

struct source {
  void (*ready)(struct source *, uint32_t events);
};
struct loop {
  int epoll;
};
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-__builtin_offsetof(type, member)))

int loop_init(struct loop *l);
int loop_add(struct loop *l, int fd, struct source *s, uint32_t events);
/* Runs for ever. `idle` is called after each batch; it returns the longest time to sleep in ms, -1 without limit. */
_Noreturn void loop_run(struct loop *l, int (*idle)(void *), void *arg);
#endif
