/* The bytes of a process: output from pipes and terminals into rings, input from the host into pipes and terminals. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "proc.h"

#define TURN (64u << 10) /* bytes taken from one output before the others have their turn */

static void on_output(struct source *s, uint32_t events) {
  struct output *o = container_of(s, struct output, source);
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) o->readable = true;
  if (o->proc->pty && events & (EPOLLOUT | EPOLLHUP)) o->proc->input_writable = true;
}

static void on_input(struct source *s, uint32_t events) {
  (void)events;
  container_of(s, struct proc, input_source)->input_writable = true;
}

void output_start(struct output *o, struct proc *p, int fd, uint8_t channel) {
  *o = (struct output){.source.ready = on_output, .proc = p, .fd = fd, .channel = channel, .drain = -1};
  if (loop_add(table.loop, fd, &o->source, EPOLLIN | (p->pty ? EPOLLOUT : 0))) {
    close(fd);
    o->fd = -1;
  }
}

static void output_end(struct proc *p, struct output *o) {
  close(o->fd);
  if (p->pty) {
    p->input_fd = -1;
    input_drop(p);
  }
  o->fd = -1;
  o->readable = false;
}

/* Output of children that outlived the process: nobody can ask for it, but a closed pipe would kill them. */
static bool discard(struct proc *p, struct output *o) {
  char waste[16384];
  ssize_t n = read(o->fd, waste, sizeof waste);
  if (n > 0) return true;
  o->readable = false;
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  output_end(p, o);
  table.changed = true;
  return false;
}

static bool output_read(struct proc *p, int i) {
  struct output *o = &p->out[i];
  bool moved = false;
  if (p->finished) return discard(p, o);
  for (uint32_t taken = 0; taken < TURN && o->drain != 0;) {
    uint64_t want = attach_allowance(p, i);
    uint32_t step = o->ring.cap > 4096 ? o->ring.cap : 4096; /* the ring doubles with its use, up to a turn */
    if (want > step) want = step;
    if (want > TURN) want = TURN;
    if (o->drain > 0 && want > (uint64_t)o->drain) want = (uint64_t)o->drain;
    uint8_t *to;
    uint32_t room = want ? ring_reserve(&o->ring, (uint32_t)want, &to) : 0;
    if (!room) return moved; /* a lossless reader is behind: its credit brings us back */
    ssize_t n = read(o->fd, to, room);
    if (n > 0) {
      ring_commit(&o->ring, (uint32_t)n);
      taken += (uint32_t)n;
      moved = true;
      if (o->drain > 0) o->drain -= n;
      if (!p->pty && (uint32_t)n < room && o->drain < 0) {
        o->readable = false; /* a short read of a pipe means it is empty now; more is a new edge */
        break;
      }
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else {
      o->readable = false;
      if (n == 0 || errno != EAGAIN) output_end(p, o);
      o->drain = p->exited ? 0 : o->drain;
      break;
    }
  }
  return moved;
}

/* The process is finished when it ended and what its pipes held at that moment was taken. */
static void check_finished(struct proc *p) {
  if (!p->exited || p->finished) return;
  for (int i = 0; i < p->outputs; i++)
    if (p->out[i].fd >= 0 && p->out[i].drain != 0) return;
  p->finished = true;
  for (int i = 0; i < p->outputs; i++) {
    struct output *o = &p->out[i];
    if (o->ring.head == 0) ring_free(&o->ring);
    if (o->fd < 0) continue;
    if (p->pty) output_end(p, o); /* the session's end hung the terminal up for everybody */
    else o->readable = true;
  }
  table.changed = true;
}

bool proc_read(struct proc *p) {
  bool moved = false;
  for (int i = 0; i < p->outputs; i++)
    if (p->out[i].fd >= 0 && p->out[i].readable) moved |= output_read(p, i);
  bool was = p->finished;
  check_finished(p);
  return moved || was != p->finished;
}

void proc_exited(struct proc *p, int status) {
  p->exited = true;
  p->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  p->code = p->signal ? 128 + p->signal : WEXITSTATUS(status);
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  p->ended = now.tv_sec;
  for (int i = 0; i < p->outputs; i++) {
    struct output *o = &p->out[i];
    int waiting = 0;
    if (o->fd < 0) continue;
    if (p->pty) o->drain = INT64_MAX; /* until EAGAIN or EIO: the terminal was hung up, it cannot go on for ever */
    else o->drain = ioctl(o->fd, FIONREAD, &waiting) ? 0 : waiting;
    o->readable = true;
  }
  if (!p->pty && p->input_fd >= 0) {
    close(p->input_fd);
    p->input_fd = -1;
  }
  input_drop(p);
  table.changed = true;
}

void input_register(struct proc *p) {
  p->input_source.ready = on_input;
  p->input_writable = true;
  if (!p->pty && p->input_fd >= 0) loop_add(table.loop, p->input_fd, &p->input_source, EPOLLOUT);
}

bool input_add(struct proc *p, uint32_t stream, const void *data, uint32_t size, bool eof) {
  struct chunk *c = malloc(sizeof *c + size);
  if (!c) return false;
  *c = (struct chunk){.stream = stream, .size = size, .eof = eof};
  memcpy(c->data, data, size);
  *p->input_end = c;
  p->input_end = &c->next;
  return true;
}

static void credit(uint32_t stream, uint32_t bytes) {
  struct proc *owner;
  if (bytes && attach_find(stream, &owner)) port_credit(table.ctl, stream, bytes);
}

void input_drop(struct proc *p) {
  for (struct chunk *c = p->input, *next; c; c = next) {
    next = c->next;
    free(c);
  }
  p->input = NULL;
  p->input_end = &p->input;
}

static void input_broken(struct proc *p) {
  if (!p->pty && p->input_fd >= 0) close(p->input_fd);
  if (!p->pty) p->input_fd = -1;
  p->input_closed = true;
  input_drop(p);
  for (struct attachment *a = p->attached; a; a = a->next) port_send(table.ctl, a->stream, T_INPUT_CLOSED, 0, NULL, 0);
}

void proc_feed(struct proc *p) {
  while (p->input && p->input_writable && p->input_fd >= 0) {
    struct chunk *c = p->input;
    uint32_t left = c->size - c->at;
    ssize_t n = left ? write(p->input_fd, c->data + c->at, left) : 0;
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) {
      input_broken(p);
      return;
    }
    if (left && n <= 0) {
      p->input_writable = false;
      return;
    }
    c->at += (uint32_t)n;
    credit(c->stream, (uint32_t)n);
    if (c->at < c->size) continue;
    bool eof = c->eof;
    p->input = c->next;
    if (!p->input) p->input_end = &p->input;
    free(c);
    if (eof && !p->pty) {
      close(p->input_fd);
      p->input_fd = -1;
      p->input_closed = true;
      input_drop(p);
    }
  }
}
