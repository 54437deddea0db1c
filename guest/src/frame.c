/* See frame.h. The trailer is a CRC-32 (IEEE 802.3, as zlib's) of the header and the first FRAME_CHECKED bytes
 * of payload: the link is memory, not a wire, so it guards against frames that were cut or are misaligned. */
#include "frame.h"
#include <stdlib.h>
#include "bytes.h"

static uint32_t table[256];

static void table_init(void) {
  if (table[1]) return;
  for (uint32_t i = 0; i < 256; i++) {
    uint32_t c = i;
    for (int k = 0; k < 8; k++) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
}

uint32_t frame_check(const uint8_t *frame, uint32_t length) {
  uint32_t n = FRAME_HEADER + (length < FRAME_CHECKED ? length : FRAME_CHECKED), c = ~0u;
  for (uint32_t i = 0; i < n; i++) c = table[(c ^ frame[i]) & 255] ^ (c >> 8);
  c = ~c;
  return c ? c : ~0u; /* never zero: zeros that complete a half frame must not make it valid */
}

void frame_seal(uint8_t *f, uint32_t epoch, uint32_t stream, uint8_t type, uint8_t flags, uint32_t length) {
  put32(f, FRAME_MARK | length << 8);
  put32(f + 4, epoch);
  put32(f + 8, stream);
  f[12] = type;
  f[13] = flags;
  put16(f + 14, 0);
  put32(f + FRAME_HEADER + length, frame_check(f, length));
}

void parser_init(struct parser *p) {
  table_init();
  *p = (struct parser){.cap = 2 * FRAME_MAX};
  p->buf = malloc(p->cap);
  if (!p->buf) abort(); /* only at start: without it there is no agent */
}

void parser_free(struct parser *p) { free(p->buf); }

uint8_t *parser_space(struct parser *p, size_t *room) {
  if (p->start == p->end) p->start = p->end = 0;
  if (p->cap - p->end < 4096 || (p->start && p->cap - p->end < FRAME_MAX / 2)) {
    memmove(p->buf, p->buf + p->start, p->end - p->start);
    p->end -= p->start;
    p->start = 0;
  }
  *room = p->cap - p->end;
  return p->buf + p->end;
}

void parser_fed(struct parser *p, size_t n) { p->end += n; }

/* Zeros come in runs of 64 KiB at every reconnect, so they are skipped eight at a time. */
static void skip_zeros(struct parser *p) {
  while (p->end - p->start >= 8 && get64(p->buf + p->start) == 0) p->start += 8;
  while (p->start < p->end && p->buf[p->start] == 0) p->start++;
}

bool parser_next(struct parser *p, struct frame *out) {
  for (;;) {
    skip_zeros(p);
    size_t have = p->end - p->start;
    if (have == 0) return false;
    uint8_t *f = p->buf + p->start;
    if (f[0] != FRAME_MARK) {
      p->start++;
      p->skipped++;
      continue;
    }
    if (have < FRAME_HEADER) return false;
    uint32_t length = get32(f) >> 8;
    if (length > FRAME_MAX_PAYLOAD || get16(f + 14) != 0) {
      p->start++;
      p->skipped++;
      continue;
    }
    size_t whole = FRAME_HEADER + length + FRAME_TRAILER;
    if (have < whole) return false;
    p->start += whole;
    if (get32(f + FRAME_HEADER + length) != frame_check(f, length)) {
      p->dropped++;
      continue;
    }
    *out = (struct frame){get32(f + 4), get32(f + 8), length, f[12], f[13], f + FRAME_HEADER};
    return true;
  }
}
