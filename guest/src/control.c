/* See control.h. */
#define _GNU_SOURCE
#include "control.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "bytes.h"
#include "cgroup.h"
#include "exec.h"
#include "metrics.h"
#include "proc.h"
#include "proclist.h"
#include "restore.h"
#include "signals.h"
#include <sys/ioctl.h>

static struct port ctl;
static struct loop loop;
static struct partial *partials; /* requests of which more frames are to come */

struct partial {
  struct partial *next;
  uint32_t stream;
  uint8_t type;
  struct builder data;
};

static void attach(uint32_t stream, const uint8_t *data, size_t size) {
  struct field f;
  char *selector = field_find(data, size, F_SELECTOR, &f) ? field_string(&f) : NULL;
  struct proc *p = selector ? proc_find(selector) : NULL;
  free(selector);
  if (!p) {
    port_fail(&ctl, stream, ESRCH, "process", "no process with this pid or tag");
    return;
  }
  if (!attach_add(p, stream, (int64_t)find_number(data, size, F_WINDOW, 0), false, find_number(data, size, F_FROM_OUT, 0),
                  find_number(data, size, F_FROM_ERR, 0))) {
    port_fail(&ctl, stream, ENOMEM, "process", "out of memory in the capsule");
    return;
  }
  struct builder b = {0};
  put_number(&b, F_PID, (uint64_t)p->pid);
  put_string(&b, F_TAG, p->tag);
  port_reply(&ctl, stream, &b);
}

static void on_request(uint32_t stream, uint8_t type, const uint8_t *data, size_t size) {
  switch (type) {
    case T_EXEC: exec_start(&ctl, stream, data, size); break;
    case T_ATTACH: attach(stream, data, size); break;
    case T_PROCESSES: proclist_send(&ctl, stream); break;
    case T_KILL: signals_send(&ctl, stream, data, size); break;
    case T_METRICS: metrics_send(&ctl, stream); break;
    case T_RESTORE: restore_apply(&ctl, stream, data, size); break;
    case T_THAW: {
      struct builder b = {0};
      if (cgroup_freeze(false)) port_reply(&ctl, stream, &b);
      else port_fail(&ctl, stream, EIO, "thaw", "the capsule's processes could not be let go");
      break;
    }
    case T_QUIESCE: {
      struct builder b = {0};
      /* What does not stop in time is copied in the middle of a system call, which is no harm by itself. */
      if (find_number(data, size, F_FREEZE, 0)) cgroup_freeze(true);
      port_reply(&ctl, stream, &b);
      ctl.quiesced = true;
      break;
    }
    default: port_fail(&ctl, stream, ENOSYS, "request", "unknown request");
  }
}

/* Collects a request of several frames; a request of one frame goes straight through. */
static void collect(const struct frame *f) {
  struct partial **at = &partials;
  while (*at && (*at)->stream != f->stream) at = &(*at)->next;
  if (!*at && !(f->flags & FLAG_MORE)) {
    on_request(f->stream, f->type, f->payload, f->length);
    return;
  }
  if (!*at) {
    struct partial *fresh = calloc(1, sizeof *fresh);
    if (!fresh) return;
    fresh->stream = f->stream;
    fresh->type = f->type;
    *at = fresh;
  }
  struct partial *p = *at;
  if (p->data.size + f->length > REQUEST_MAX) p->data.failed = true;
  uint8_t *to = builder_grow(&p->data, f->length);
  if (to) memcpy(to, f->payload, f->length);
  if (f->flags & FLAG_MORE) return;
  *at = p->next;
  if (p->data.failed) port_fail(&ctl, f->stream, E2BIG, "exec", "the request is larger than 4 MiB");
  else on_request(f->stream, p->type, p->data.data, p->data.size);
  builder_free(&p->data);
  free(p);
}

static void on_input(const struct frame *f, struct proc *p) {
  if (p->input_closed || p->exited || p->input_fd < 0) {
    if (!p->exited) port_send(&ctl, f->stream, T_INPUT_CLOSED, 0, NULL, 0);
    return;
  }
  static const uint8_t end_of_file = 4; /* what a terminal takes for "no more input" */
  bool eof = f->type == T_INPUT_EOF;
  bool ok = eof && p->pty ? input_add(p, 0, &end_of_file, 1, false) : input_add(p, f->stream, f->payload, f->length, eof);
  if (!ok) port_send(&ctl, f->stream, T_INPUT_CLOSED, 0, NULL, 0);
}

static void on_frame(struct port *port, const struct frame *f) {
  (void)port;
  if (f->type >= T_RESTORE && f->type <= T_THAW) {
    collect(f);
    return;
  }
  struct proc *p;
  struct attachment *a = attach_find(f->stream, &p);
  if (!a) return; /* the stream ended meanwhile */
  switch (f->type) {
    case T_INPUT:
    case T_INPUT_EOF: on_input(f, p); break;
    case T_CREDIT:
      if (f->length >= 4) a->credit += get32(f->payload);
      break;
    case T_RESIZE:
      if (f->length >= 4 && p->pty && p->out[0].fd >= 0) {
        struct winsize_wire { uint16_t rows, cols, x, y; } size = {get16(f->payload + 2), get16(f->payload), 0, 0};
        ioctl(p->out[0].fd, TIOCSWINSZ, &size);
      }
      break;
    case T_CLOSE: attach_remove(p, f->stream); break;
  }
}

static void on_reset(struct port *port) {
  (void)port;
  attach_clear_all();
  while (partials) {
    struct partial *p = partials;
    partials = p->next;
    builder_free(&p->data);
    free(p);
  }
}

/* Until nothing moves: input, output, the host's side. Then what may wait. */
static int idle(void *arg) {
  (void)arg;
  port_input(&ctl);
  bool moved;
  int turns = 0;
  do {
    moved = false;
    for (struct proc *p = table.procs; p; p = p->next) {
      if (p->input && !ctl.quiesced) proc_feed(p);
      moved |= proc_read(p);
      if (p->attached) moved |= attach_pump(p);
    }
    moved |= port_flush(&ctl);
  } while (moved && ++turns < 8);
  table_sweep();
  cgroup_prepare();
  return ctl.readable || moved ? 0 : -1;
}

int control_run(const char *device, const char *listen_path, const char *cgroup_base, const unsigned char boot[16]) {
  ctl.on_frame = on_frame;
  ctl.on_reset = on_reset;
  memcpy(ctl.boot, boot, 16);
  if (cgroup_base) cgroup_init(cgroup_base);
  if (loop_init(&loop) < 0 || table_init(&loop, &ctl) || port_open(&ctl, &loop, device, listen_path)) return -1;
  loop_run(&loop, idle, NULL);
}
