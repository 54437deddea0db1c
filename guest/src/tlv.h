/* Requests and replies as fields: u32 word (tag | length << 8), then the value. Pure. */
#ifndef TLV_H
#define TLV_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct field {
  uint8_t tag;
  uint32_t length;
  const uint8_t *value;
};

/* Iterates the fields of `data`; false at the end or at a malformed field. `*pos` starts at 0. */
bool field_next(const uint8_t *data, size_t size, size_t *pos, struct field *out);
uint64_t field_number(const struct field *f);
/* The value as a C string on the heap; NULL when it holds a NUL byte or memory is out. */
char *field_string(const struct field *f);
bool field_find(const uint8_t *data, size_t size, uint8_t tag, struct field *out);
uint64_t find_number(const uint8_t *data, size_t size, uint8_t tag, uint64_t fallback);

/* A growing buffer of fields. When memory runs out `failed` is set and further puts do nothing. */
struct builder {
  uint8_t *data;
  size_t size, cap;
  bool failed;
};
uint8_t *builder_grow(struct builder *b, size_t n);
void put_bytes(struct builder *b, uint8_t tag, const void *value, size_t n);
void put_string(struct builder *b, uint8_t tag, const char *value);
void put_number(struct builder *b, uint8_t tag, uint64_t value);
void builder_free(struct builder *b);
#endif
