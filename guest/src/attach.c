/* Attachments: streams of the host that follow a process's output. A slow one falls behind alone, except the
 * lossless one of a foreground starter, which holds its own process back. */
#include <stdlib.h>
#include <string.h>
#include "bytes.h"
#include "proc.h"

#define OUTPUT_MAX (32768u - FRAME_HEADER - FRAME_TRAILER - 8) /* a frame fits the driver's 32 KiB write */

struct attachment *attach_find(uint32_t stream, struct proc **owner) {
  for (struct proc *p = table.procs; p; p = p->next)
    for (struct attachment *a = p->attached; a; a = a->next)
      if (a->stream == stream) {
        *owner = p;
        return a;
      }
  return NULL;
}

bool attach_add(struct proc *p, uint32_t stream, int64_t window, bool lossless, uint64_t out, uint64_t err) {
  struct attachment *a = calloc(1, sizeof *a);
  if (!a) return false;
  *a = (struct attachment){.next = p->attached, .stream = stream, .lossless = lossless, .credit = window};
  uint64_t from[2] = {out, err};
  for (int i = 0; i < p->outputs; i++) {
    const struct ring *r = &p->out[i].ring;
    a->cursor[i] = from[i] > r->head ? r->head : from[i];
  }
  p->attached = a;
  return true;
}

void attach_remove(struct proc *p, uint32_t stream) {
  for (struct attachment **at = &p->attached; *at; at = &(*at)->next) {
    struct attachment *a = *at;
    if (a->stream != stream) continue;
    *at = a->next;
    free(a);
    return;
  }
}

void attach_clear_all(void) {
  for (struct proc *p = table.procs; p; p = p->next)
    while (p->attached) attach_remove(p, p->attached->stream);
}

uint64_t attach_allowance(const struct proc *p, int i) {
  uint64_t head = p->out[i].ring.head, least = RING_MAX;
  for (const struct attachment *a = p->attached; a; a = a->next) {
    if (!a->lossless) continue;
    uint64_t free = RING_MAX - (head - a->cursor[i]);
    if (free < least) least = free;
  }
  return least;
}

static bool send_some(struct proc *p, struct attachment *a, int i) {
  const struct ring *r = &p->out[i].ring;
  if (a->cursor[i] < r->tail) a->cursor[i] = r->tail; /* the host sees the gap in the offsets */
  const uint8_t *from;
  uint32_t n = ring_peek(r, a->cursor[i], &from);
  if (n > OUTPUT_MAX) n = OUTPUT_MAX;
  if (!n || a->credit <= 0) return false;
  if (n > a->credit) n = (uint32_t)a->credit;
  uint8_t *to = port_reserve(table.ctl, n + 8);
  if (!to) return false;
  put64(to, a->cursor[i]);
  memcpy(to + 8, from, n);
  port_commit(table.ctl, a->stream, T_OUTPUT, p->out[i].channel, n + 8);
  a->cursor[i] += n;
  a->credit -= n > COST_MIN ? n : COST_MIN;
  return true;
}

bool attach_pump(struct proc *p) {
  bool sent = false;
  for (struct attachment **at = &p->attached; *at && port_has_room(table.ctl);) {
    struct attachment *a = *at;
    bool whole = true;
    for (int i = 0; i < p->outputs; i++) {
      sent |= send_some(p, a, i);
      whole = whole && a->cursor[i] == p->out[i].ring.head;
    }
    if (p->finished && whole) {
      uint8_t exit[24] = {0};
      put32(exit, (uint32_t)p->code);
      put32(exit + 4, (uint32_t)p->signal);
      for (int i = 0; i < p->outputs; i++) put64(exit + 8 + 8 * i, p->out[i].ring.head);
      port_send(table.ctl, a->stream, T_EXIT, 0, exit, sizeof exit);
      *at = a->next;
      free(a);
      sent = true;
    } else {
      at = &a->next;
    }
  }
  return sent;
}
