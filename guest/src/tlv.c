/* See tlv.h. */
#include "tlv.h"
#include <stdlib.h>
#include "bytes.h"

bool field_next(const uint8_t *data, size_t size, size_t *pos, struct field *out) {
  if (size - *pos < 4) return false;
  uint32_t word = get32(data + *pos), length = word >> 8;
  if (length > size - *pos - 4) return false;
  *out = (struct field){(uint8_t)word, length, data + *pos + 4};
  *pos += 4 + (size_t)length;
  return true;
}

uint64_t field_number(const struct field *f) {
  uint64_t v = 0;
  memcpy(&v, f->value, f->length < 8 ? f->length : 8);
  return v;
}

char *field_string(const struct field *f) {
  if (memchr(f->value, 0, f->length)) return NULL;
  char *s = malloc((size_t)f->length + 1);
  if (!s) return NULL;
  memcpy(s, f->value, f->length);
  s[f->length] = 0;
  return s;
}

bool field_find(const uint8_t *data, size_t size, uint8_t tag, struct field *out) {
  for (size_t pos = 0; field_next(data, size, &pos, out);)
    if (out->tag == tag) return true;
  return false;
}

uint64_t find_number(const uint8_t *data, size_t size, uint8_t tag, uint64_t fallback) {
  struct field f;
  return field_find(data, size, tag, &f) ? field_number(&f) : fallback;
}

uint8_t *builder_grow(struct builder *b, size_t n) {
  if (b->failed) return NULL;
  if (b->cap - b->size < n) {
    size_t cap = b->cap ? b->cap : 512;
    while (cap - b->size < n) cap *= 2;
    uint8_t *data = realloc(b->data, cap);
    if (!data) {
      b->failed = true;
      return NULL;
    }
    b->data = data;
    b->cap = cap;
  }
  b->size += n;
  return b->data + b->size - n;
}

void put_bytes(struct builder *b, uint8_t tag, const void *value, size_t n) {
  uint8_t *p = builder_grow(b, 4 + n);
  if (!p) return;
  put32(p, tag | (uint32_t)n << 8);
  if (n) memcpy(p + 4, value, n);
}

void put_string(struct builder *b, uint8_t tag, const char *value) { put_bytes(b, tag, value, strlen(value)); }

void put_number(struct builder *b, uint8_t tag, uint64_t value) { put_bytes(b, tag, &value, 8); }

void builder_free(struct builder *b) {
  free(b->data);
  *b = (struct builder){0};
}
