/* See port.h. */
#define _GNU_SOURCE
#include "port.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "build.h"
#include "bytes.h"

#define OUT_ROOM (256u << 10)

static void on_device(struct source *s, uint32_t events) {
  struct port *p = container_of(s, struct port, source);
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) p->readable = true;
  if (events & EPOLLOUT) p->writable = true;
}

/* Test mode stands in for QEMU's chardev: one host at a time, and what was half read or written stays as it is. */
static void on_listener(struct source *s, uint32_t events) {
  (void)events;
  struct port *p = container_of(s, struct port, listener);
  int fd;
  while ((fd = accept4(p->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    if (p->fd >= 0) close(p->fd);
    p->fd = fd;
    p->readable = p->writable = true;
    if (loop_add(p->loop, fd, &p->source, EPOLLIN | EPOLLOUT | EPOLLRDHUP)) {
      close(fd);
      p->fd = -1;
    }
  }
}

int port_open(struct port *p, struct loop *loop, const char *device, const char *listen_path) {
  p->loop = loop;
  p->fd = p->listen_fd = -1;
  p->source.ready = on_device;
  p->listener.ready = on_listener;
  parser_init(&p->in);
  if (device) {
    p->fd = open(device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    p->readable = p->writable = true;
    return p->fd < 0 ? -1 : loop_add(loop, p->fd, &p->source, EPOLLIN | EPOLLOUT);
  }
  struct sockaddr_un a = {.sun_family = AF_UNIX};
  if (strlen(listen_path) >= sizeof a.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  strcpy(a.sun_path, listen_path);
  unlink(listen_path);
  p->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (p->listen_fd < 0 || bind(p->listen_fd, (struct sockaddr *)&a, sizeof a) || listen(p->listen_fd, 4)) return -1;
  return loop_add(loop, p->listen_fd, &p->listener, EPOLLIN);
}

bool port_has_room(const struct port *p) {
  return p->greeted && !p->quiesced && p->fd >= 0 && p->out_end - p->out_start < OUT_ROOM;
}

uint8_t *port_reserve(struct port *p, uint32_t max) {
  size_t need = FRAME_HEADER + max + FRAME_TRAILER;
  if (p->out_start == p->out_end) p->out_start = p->out_end = 0;
  if (p->out_cap - p->out_end < need && p->out_start) {
    memmove(p->out, p->out + p->out_start, p->out_end - p->out_start);
    p->out_end -= p->out_start;
    p->out_start = 0;
  }
  if (p->out_cap - p->out_end < need) {
    size_t cap = p->out_cap ? p->out_cap : 16384;
    while (cap - p->out_end < need) cap *= 2;
    uint8_t *out = realloc(p->out, cap);
    if (!out) return NULL;
    p->out = out;
    p->out_cap = cap;
  }
  return p->out + p->out_end + FRAME_HEADER;
}

void port_commit(struct port *p, uint32_t stream, uint8_t type, uint8_t flags, uint32_t length) {
  frame_seal(p->out + p->out_end, p->epoch, stream, type, flags, length);
  p->out_end += FRAME_HEADER + length + FRAME_TRAILER;
}

void port_send(struct port *p, uint32_t stream, uint8_t type, uint8_t flags, const void *payload, uint32_t length) {
  uint8_t *to = port_reserve(p, length);
  if (!to) return; /* out of memory: the host sees a stream without an answer only if its capsule is dying anyway */
  if (length) memcpy(to, payload, length);
  port_commit(p, stream, type, flags, length);
}

void port_reply(struct port *p, uint32_t stream, struct builder *b) {
  if (b->failed) {
    port_fail(p, stream, ENOMEM, "reply", "out of memory in the capsule");
  } else {
    size_t at = 0;
    do {
      size_t n = b->size - at < FRAME_MAX_PAYLOAD ? b->size - at : FRAME_MAX_PAYLOAD;
      port_send(p, stream, T_REPLY, at + n < b->size ? FLAG_MORE : 0, b->data + at, (uint32_t)n);
      at += n;
    } while (at < b->size);
  }
  builder_free(b);
}

void port_fail(struct port *p, uint32_t stream, int err, const char *stage, const char *text) {
  struct builder b = {0};
  put_number(&b, F_ERRNO, (uint64_t)err);
  put_string(&b, F_STAGE, stage);
  put_string(&b, F_TEXT, text);
  if (!b.failed) port_send(p, stream, T_FAIL, 0, b.data, (uint32_t)b.size);
  builder_free(&b);
}

void port_credit(struct port *p, uint32_t stream, uint32_t bytes) {
  port_send(p, stream, T_CREDIT, 0, &bytes, 4);
}

bool port_flush(struct port *p) {
  bool wrote = false;
  while (p->writable && p->fd >= 0 && p->out_start < p->out_end) {
    ssize_t n = write(p->fd, p->out + p->out_start, p->out_end - p->out_start);
    if (n > 0) {
      p->out_start += (size_t)n;
      wrote = p->heard = true;
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else {
      p->writable = false; /* full, or no host: an event or the next connection sets it again */
    }
  }
  return wrote;
}

static void hello(struct port *p, const struct frame *f) {
  if (f->length < NONCE_SIZE) return;
  p->epoch = f->epoch;
  p->greeted = true;
  p->heard = p->quiesced = false;
  p->out_start = p->out_end = 0;
  p->on_reset(p);
  struct builder b = {0};
  uint8_t *nonce = builder_grow(&b, NONCE_SIZE);
  if (!nonce) return;
  memcpy(nonce, f->payload, NONCE_SIZE);
  put_number(&b, F_VERSION, PROTOCOL_VERSION);
  put_bytes(&b, F_BOOT, p->boot, sizeof p->boot);
  put_string(&b, F_BUILD, AGENT_BUILD);
  if (!b.failed) port_send(p, 0, T_HELLO_ACK, 0, b.data, (uint32_t)b.size);
  builder_free(&b);
}

/* Nobody listens any more: what was on its way is worthless, and nothing may wait for a reader. Only believed after
 * something could be written: virtio_console hands out a new host's bytes before it knows of the new host. */
static void host_gone(struct port *p) {
  if (!p->heard) return;
  p->greeted = p->heard = false;
  p->out_start = p->out_end = 0;
  p->on_reset(p);
}

static void dispatch(struct port *p, const struct frame *f) {
  if (f->type == T_HELLO) {
    hello(p, f);
    return;
  }
  if (!p->greeted || f->epoch != p->epoch) return;
  p->quiesced = false;
  if (f->type == T_PING) {
    port_send(p, f->stream, T_PONG, 0, f->payload, f->length);
  } else {
    p->on_frame(p, f);
  }
}

void port_input(struct port *p) {
  struct frame f;
  for (int rounds = 0; p->readable && p->fd >= 0 && rounds < 64; rounds++) {
    size_t room;
    uint8_t *to = parser_space(&p->in, &room);
    ssize_t n = read(p->fd, to, room);
    if (n > 0) {
      parser_fed(&p->in, (size_t)n);
      while (parser_next(&p->in, &f)) dispatch(p, &f);
    } else if (n < 0 && errno == EINTR) {
      continue;
    } else {
      p->readable = false;
      /* On a virtio port 0 means "no host just now"; the descriptor stays good. A test socket is gone. */
      if (p->listen_fd >= 0 && (n == 0 || errno != EAGAIN)) {
        close(p->fd);
        p->fd = -1;
      }
      if (n == 0 || errno != EAGAIN) host_gone(p);
    }
  }
}
