/* One port (ctl or bulk): reads and parses input, queues and writes output, keeps the epoch, answers HELLO and
 * PING itself and hands every other frame of the current epoch to its owner. One thread owns a port. */
#ifndef PORT_H
#define PORT_H
#include <stdbool.h>
#include <stdint.h>
#include "frame.h"
#include "loop.h"
#include "tlv.h"

struct port {
  struct source source; /* the device, or the accepted connection in test mode */
  struct source listener;
  struct loop *loop;
  int fd, listen_fd;
  struct parser in;
  uint8_t *out;
  size_t out_cap, out_start, out_end;
  uint32_t epoch;
  bool greeted;  /* a HELLO has set the epoch */
  bool heard;    /* since then something was written, so a host is or was there */
  bool quiesced; /* nothing is produced until the host's next frame */
  bool readable, writable;
  void (*on_frame)(struct port *, const struct frame *);
  void (*on_reset)(struct port *); /* every stream is dead */
  uint8_t boot[16];
};

/* Exactly one of `device` (a character device) and `listen_path` (a unix socket, test mode) is given. */
int port_open(struct port *p, struct loop *loop, const char *device, const char *listen_path);
/* Reads and dispatches until the device is empty; bounded, so that one port cannot keep the loop. */
void port_input(struct port *p);
/* True when something was written, so that there may be room for more. */
bool port_flush(struct port *p);
/* True while producers may add data: less than 256 KiB waits and a host is there. */
bool port_has_room(const struct port *p);
/* Space for a payload of up to `max` bytes; then port_commit with its true length. NULL when memory is out. */
uint8_t *port_reserve(struct port *p, uint32_t max);
void port_commit(struct port *p, uint32_t stream, uint8_t type, uint8_t flags, uint32_t length);
void port_send(struct port *p, uint32_t stream, uint8_t type, uint8_t flags, const void *payload, uint32_t length);
/* A reply of any size, in several frames when needed. Frees the builder. */
void port_reply(struct port *p, uint32_t stream, struct builder *b);
void port_fail(struct port *p, uint32_t stream, int err, const char *stage, const char *text);
void port_credit(struct port *p, uint32_t stream, uint32_t bytes);
#endif
