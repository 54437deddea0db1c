/* Frames: building headers and trailers, and the resynchronising parser. Pure; no descriptors. */
#ifndef FRAME_H
#define FRAME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "wire.h"

struct frame {
  uint32_t epoch, stream, length;
  uint8_t type, flags;
  uint8_t *payload; /* valid until the next call on the parser */
};

struct parser {
  uint8_t *buf;
  size_t cap, start, end;
  uint64_t dropped; /* frames whose trailer was wrong */
  uint64_t skipped; /* non-zero bytes at a frame boundary that began no frame */
};

void parser_init(struct parser *p);
void parser_free(struct parser *p);
/* Where the next bytes go; at least 1 byte is free. */
uint8_t *parser_space(struct parser *p, size_t *room);
void parser_fed(struct parser *p, size_t n);
/* The next whole and valid frame, or false when more bytes are needed. */
bool parser_next(struct parser *p, struct frame *out);

/* Writes header and trailer around a payload that already stands at `frame + FRAME_HEADER`. */
void frame_seal(uint8_t *frame, uint32_t epoch, uint32_t stream, uint8_t type, uint8_t flags, uint32_t length);
uint32_t frame_check(const uint8_t *frame, uint32_t length);
#endif
