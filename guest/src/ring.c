/* See ring.h. Capacity is a power of two, so `offset % cap` is the place of a byte. */
#include "ring.h"
#include <stdlib.h>
#include <string.h>

uint32_t ring_peek(const struct ring *r, uint64_t offset, const uint8_t **from) {
  if (offset >= r->head) return 0;
  uint32_t at = (uint32_t)(offset & (r->cap - 1)), n = r->cap - at;
  *from = r->data + at;
  return r->head - offset < n ? (uint32_t)(r->head - offset) : n;
}

static int grow(struct ring *r, uint64_t need) {
  uint32_t cap = r->cap ? r->cap : 4096;
  while (cap < need && cap < RING_MAX) cap *= 2;
  if (cap == r->cap) return 0;
  uint8_t *data = malloc(cap);
  if (!data) return -1;
  for (uint64_t o = r->tail; o < r->head;) {
    const uint8_t *from;
    uint32_t n = ring_peek(r, o, &from), at = (uint32_t)(o & (cap - 1));
    if (n > cap - at) n = cap - at;
    memcpy(data + at, from, n);
    o += n;
  }
  free(r->data);
  r->data = data;
  r->cap = cap;
  return 0;
}

uint32_t ring_reserve(struct ring *r, uint32_t want, uint8_t **to) {
  if (grow(r, r->head - r->tail + want) && !r->cap) return 0;
  uint32_t at = (uint32_t)(r->head & (r->cap - 1)), n = r->cap - at;
  *to = r->data + at;
  return want < n ? want : n;
}

void ring_commit(struct ring *r, uint32_t n) {
  r->head += n;
  if (r->head - r->tail > r->cap) r->tail = r->head - r->cap;
}

void ring_free(struct ring *r) {
  free(r->data);
  r->data = 0;
  r->cap = 0;
  r->tail = r->head;
}
