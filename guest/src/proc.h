/* The process table: started programs, their output rings, their input queues, who is attached. ctl thread only.
 * proc.c owns life and death, stream.c the bytes, attach.c the attachments, exec.c the starting. */
#ifndef PROC_H
#define PROC_H
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>
#include "loop.h"
#include "port.h"
#include "ring.h"

#define TAG_MAX 128
#define RECORDS_MAX 1000
#define RECORDS_AGE_SEC 3600
#define RECORDS_BYTES (8u << 20) /* output kept of ended processes, all together */

struct proc;

/* One output: stdout, stderr or the terminal. */
struct output {
  struct source source;
  struct proc *proc;
  int fd; /* -1 once it is at its end */
  uint8_t channel;
  bool readable;
  int64_t drain; /* after the exit: bytes still to take; -1 while the process runs */
  struct ring ring;
};

struct chunk { /* input that waits for the process; `owed` is granted back to `stream` when it is written */
  struct chunk *next;
  uint32_t stream, size, at;
  bool eof;
  uint8_t data[];
};

struct attachment {
  struct attachment *next;
  uint32_t stream;
  bool lossless; /* holds the process back instead of losing bytes */
  uint64_t cursor[2];
  int64_t credit; /* may fall below zero by the cost of a small frame */
};

struct proc {
  struct proc *next; /* newest first */
  pid_t pid;
  char tag[TAG_MAX + 1];
  char *args; /* argv, each ended by NUL */
  uint32_t args_size;
  bool pty, background, exited, finished;
  bool input_closed;
  uint8_t outputs; /* 2 for pipes, 1 for a terminal */
  struct output out[2];
  struct source input_source;
  int input_fd; /* -1 when there is none (any more); for a terminal the same as out[0].fd */
  bool input_writable;
  struct chunk *input, **input_end;
  int cgroup; /* slot or -1 */
  int code, signal;
  time_t ended; /* monotonic seconds */
  struct attachment *attached;
};

struct table {
  struct loop *loop;
  struct port *ctl;
  struct proc *procs;
  struct source child_source;
  int child_fd;
  bool changed; /* something ended: look whether cgroups are empty and records are too many */
};
extern struct table table;

int table_init(struct loop *loop, struct port *ctl);
/* By selector; running ones first, then the newest ended. NULL when unknown. */
struct proc *proc_find(const char *selector);
struct proc *proc_running_tag(const char *tag);
void proc_add(struct proc *p);
void proc_free(struct proc *p);
/* Between batches: frees records that are too many, takes back empty cgroups. */
void table_sweep(void);

/* stream.c */
void output_start(struct output *o, struct proc *p, int fd, uint8_t channel);
/* Takes what is readable as far as the rings and lossless readers allow; true when something moved. */
bool proc_read(struct proc *p);
void proc_exited(struct proc *p, int status);
bool input_add(struct proc *p, uint32_t stream, const void *data, uint32_t size, bool eof);
void proc_feed(struct proc *p);
void input_drop(struct proc *p);
void input_register(struct proc *p);

/* attach.c */
struct attachment *attach_find(uint32_t stream, struct proc **owner);
bool attach_add(struct proc *p, uint32_t stream, int64_t window, bool lossless, uint64_t out, uint64_t err);
void attach_remove(struct proc *p, uint32_t stream);
void attach_clear_all(void);
/* Sends what the credits allow; true when something was sent. */
bool attach_pump(struct proc *p);
/* The most bytes that may be read into output `i` without a lossless reader losing any. */
uint64_t attach_allowance(const struct proc *p, int i);
#endif
