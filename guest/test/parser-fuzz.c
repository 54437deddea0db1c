/* Fuzzes the guest's frame parser: whole frames must come out exactly once and in order whatever the chunks; half
 * frames followed by the host's run of zeros, flipped bits and garbage must neither come out nor hurt.
 * usage: parser-fuzz ITERATIONS SEED */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../src/bytes.h"
#include "../src/frame.h"

static uint64_t state;
static uint32_t rnd(uint32_t below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 16) % below;
}

#define CHECK(ok, what) \
  do { \
    if (!(ok)) { \
      fprintf(stderr, "iteration %u: %s\n", iteration, what); \
      exit(1); \
    } \
  } while (0)

static uint8_t wire[FRAME_MAX * 4];
static size_t wire_size;
static uint32_t iteration, sequence;

static uint32_t length_of(void) {
  switch (rnd(8)) {
    case 0: return 0;
    case 1: return FRAME_MAX_PAYLOAD - rnd(3);
    case 2: return rnd(3000);
    default: return rnd(64);
  }
}

/* Payloads are made from stream and length, so a receiver can check every byte. */
static void put_frame(uint32_t stream, uint32_t length) {
  uint8_t *f = wire + wire_size;
  for (uint32_t i = 0; i < length; i++) f[FRAME_HEADER + i] = (uint8_t)(stream * 31 + i);
  frame_seal(f, 0x01020304, stream, (uint8_t)(stream & 0x7f), 0, length);
  wire_size += FRAME_HEADER + length + FRAME_TRAILER;
}

static void feed(struct parser *p, const uint8_t *data, size_t size, uint32_t *next, uint32_t last, int strict) {
  struct frame f;
  while (size) {
    size_t room, n = 1 + rnd(rnd(2) ? 40 : 70000);
    uint8_t *to = parser_space(p, &room);
    if (n > size) n = size;
    if (n > room) n = room;
    memcpy(to, data, n);
    parser_fed(p, n);
    data += n;
    size -= n;
    while (parser_next(p, &f)) {
      if (f.epoch != 0x01020304) { /* the trailer covers the header: nothing else can be made up by chance */
        CHECK(!strict, "a frame that nobody sent");
        continue;
      }
      CHECK(f.stream >= *next && f.stream < last, "frame out of order or twice");
      if (strict) CHECK(f.stream == *next, "a frame is missing");
      *next = f.stream + 1;
      uint32_t checked = f.length < FRAME_CHECKED || strict ? f.length : FRAME_CHECKED;
      for (uint32_t i = 0; i < checked; i++) CHECK(f.payload[i] == (uint8_t)(f.stream * 31 + i), "payload differs");
    }
  }
}

int main(int argc, char **argv) {
  uint32_t iterations = argc > 1 ? (uint32_t)atoi(argv[1]) : 10000;
  state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  static uint8_t zeros[FRAME_MAX];
  struct parser p;
  parser_init(&p);
  for (iteration = 0; iteration < iterations; iteration++) {
    uint32_t first = sequence, next = sequence;
    wire_size = 0;
    for (uint32_t i = 1 + rnd(3); i; i--) {
      for (uint32_t z = rnd(4); z; z--) wire[wire_size++] = 0;
      put_frame(sequence++, length_of());
    }
    switch (rnd(3)) {
      case 0: /* as sent */
        feed(&p, wire, wire_size, &next, sequence, 1);
        CHECK(next == sequence, "the last frame is missing");
        break;
      case 1: /* cut anywhere, then the host comes back: zeros, then good frames at once */
        feed(&p, wire, rnd((uint32_t)wire_size), &next, sequence, 1);
        feed(&p, zeros, sizeof zeros, &next, sequence, 1);
        CHECK(next <= sequence, "more than was sent");
        next = sequence;
        break;
      default: { /* flipped bits, and garbage in front; then the host comes back */
        uint8_t garbage[64];
        uint32_t n = rnd(sizeof garbage);
        for (uint32_t i = 0; i < n; i++) garbage[i] = (uint8_t)rnd(256);
        feed(&p, garbage, n, &next, sequence, 0);
        for (uint32_t k = 1 + rnd(3); k; k--) wire[rnd((uint32_t)wire_size)] ^= (uint8_t)(1u << rnd(8));
        feed(&p, wire, wire_size, &next, sequence, 0);
        feed(&p, zeros, sizeof zeros, &next, sequence, 0);
        next = sequence;
      }
    }
    (void)first;
    /* whatever happened, the next good frame comes through */
    wire_size = 0;
    put_frame(sequence++, rnd(100));
    feed(&p, wire, wire_size, &next, sequence, 1);
    CHECK(next == sequence, "no recovery");
  }
  printf("%u iterations, %llu dropped, %llu skipped\n", iterations, (unsigned long long)p.dropped, (unsigned long long)p.skipped);
  parser_free(&p);
  return 0;
}
