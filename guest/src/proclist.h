/* The processes of the capsule, from /proc. ctl thread only. */
#ifndef PROCLIST_H
#define PROCLIST_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include "port.h"

struct seen {
  pid_t pid, parent, session;
  unsigned long long started; /* clock ticks since boot */
  bool kernel;
};
/* All processes, without order; the caller frees. NULL when /proc cannot be read. */
struct seen *proclist_scan(size_t *count);
/* Answers PROCESSES: user processes, oldest first, ours with tag and the arguments they were started with. */
void proclist_send(struct port *port, uint32_t stream);
#endif
