/* See entry.h. */
#define _GNU_SOURCE
#include "entry.h"
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>
#include "bytes.h"
#include "wire.h"

#define FIXED 32

void entry_put(struct builder *b, struct userdb *users, const char *path, const struct stat *st) {
  char owner[64], group[64], target[PATH_MAX];
  ssize_t link = S_ISLNK(st->st_mode) ? readlink(path, target, sizeof target) : 0;
  size_t linked = link > 0 ? (size_t)link : 0;
  user_name(users, st->st_uid, owner, sizeof owner);
  group_name(users, st->st_gid, group, sizeof group);
  size_t np = strlen(path), no = strlen(owner), ng = strlen(group), n = FIXED + np + no + ng + linked;
  uint8_t *p = builder_grow(b, 4 + n);
  if (!p) return;
  put32(p, F_FILE | (uint32_t)n << 8);
  p += 4;
  p[0] = S_ISREG(st->st_mode) ? 'f' : S_ISDIR(st->st_mode) ? 'd' : S_ISLNK(st->st_mode) ? 'l' : 'o';
  p[1] = 0;
  put16(p + 2, (uint16_t)no);
  put16(p + 4, (uint16_t)ng);
  put16(p + 6, (uint16_t)linked);
  put32(p + 8, (uint32_t)np);
  put32(p + 12, st->st_mode & 07777);
  put64(p + 16, (uint64_t)st->st_size);
  put64(p + 24, (uint64_t)st->st_mtim.tv_sec);
  p = mempcpy(p + FIXED, path, np);
  p = mempcpy(p, owner, no);
  p = mempcpy(p, group, ng);
  memcpy(p, target, linked);
}

int entry_stat(struct builder *b, struct userdb *users, const char *path) {
  struct stat st;
  if (lstat(path, &st)) return errno;
  entry_put(b, users, path, &st);
  return 0;
}
