/* The replay ring of one output stream: the newest 256 KiB by byte offset. Pure; memory grows with use. */
#ifndef RING_H
#define RING_H
#include <stdint.h>

#define RING_MAX (256u << 10)

struct ring {
  uint8_t *data;
  uint32_t cap;
  uint64_t head; /* offset after the newest byte */
  uint64_t tail; /* offset of the oldest byte kept */
};

/* A contiguous place for up to `want` new bytes, overwriting the oldest when full; 0 only when memory is out. */
uint32_t ring_reserve(struct ring *r, uint32_t want, uint8_t **to);
void ring_commit(struct ring *r, uint32_t n);
/* Contiguous kept bytes from `offset` on (tail <= offset <= head). */
uint32_t ring_peek(const struct ring *r, uint64_t offset, const uint8_t **from);
void ring_free(struct ring *r);
#endif
