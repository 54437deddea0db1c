/* See users.h. */
#define _GNU_SOURCE
#include "users.h"
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_LIMIT (1 << 20)

void userdb_init(struct userdb *db) {
  memset(db, 0, sizeof *db);
  db->passwd.path = "/etc/passwd";
  db->group.path = "/etc/group";
}

static const char *text_of(struct text_file *f) {
  struct stat now;
  if (stat(f->path, &now)) return "";
  if (f->text && now.st_ino == f->seen.st_ino && now.st_size == f->seen.st_size &&
      now.st_mtim.tv_sec == f->seen.st_mtim.tv_sec && now.st_mtim.tv_nsec == f->seen.st_mtim.tv_nsec)
    return f->text;
  int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  size_t cap = now.st_size > 0 && now.st_size < FILE_LIMIT ? (size_t)now.st_size : FILE_LIMIT;
  char *text = fd < 0 ? NULL : malloc(cap + 1);
  ssize_t n = text ? read(fd, text, cap) : -1;
  if (fd >= 0) close(fd);
  if (n < 0) {
    free(text);
    return "";
  }
  text[n] = 0;
  free(f->text);
  f->text = text;
  f->seen = now;
  return text;
}

/* Splits the line at `*at` at colons into `part`; moves `*at` to the next line. False at the end of the text. */
struct part {
  const char *s;
  size_t n;
};
static bool line_next(const char **at, struct part *part, int count) {
  if (!**at) return false;
  const char *s = *at, *end = strchrnul(s, '\n');
  for (int i = 0; i < count; i++) {
    const char *stop = i == count - 1 ? end : memchr(s, ':', (size_t)(end - s));
    if (!stop) stop = end;
    part[i] = (struct part){s, (size_t)(stop - s)};
    s = stop < end ? stop + 1 : end;
  }
  *at = *end ? end + 1 : end;
  return true;
}

static bool same(struct part p, const char *s) { return strlen(s) == p.n && memcmp(p.s, s, p.n) == 0; }
static void copy(char *to, size_t size, struct part p) { snprintf(to, size, "%.*s", (int)p.n, p.s); }
static long number(struct part p) {
  char b[16], *end;
  copy(b, sizeof b, p);
  long n = strtol(b, &end, 10);
  return p.n && p.n < sizeof b && !*end && n >= 0 ? n : -1;
}

int user_find(struct userdb *db, const char *name, struct user *out) {
  long wanted = number((struct part){name, strlen(name)});
  const char *at = text_of(&db->passwd);
  for (struct part p[7]; line_next(&at, p, 7);) {
    long uid = number(p[2]), gid = number(p[3]);
    if (uid < 0 || gid < 0 || !(wanted >= 0 ? uid == wanted : same(p[0], name))) continue;
    *out = (struct user){.uid = (uid_t)uid, .gid = (gid_t)gid};
    copy(out->name, sizeof out->name, p[0]);
    copy(out->home, sizeof out->home, p[5]);
    copy(out->shell, sizeof out->shell, p[6]);
    if (!out->home[0]) strcpy(out->home, "/");
    if (!out->shell[0]) strcpy(out->shell, "/bin/sh");
    return 0;
  }
  if (wanted != 0 && strcmp(name, "root")) return -1;
  *out = (struct user){.name = "root", .home = "/root", .shell = "/bin/sh"};
  return 0;
}

void user_groups(struct userdb *db, struct user *u) {
  u->groups[0] = u->gid;
  u->ngroups = 1;
  const char *at = text_of(&db->group);
  for (struct part p[4]; u->ngroups < USER_GROUPS_MAX && line_next(&at, p, 4);) {
    long gid = number(p[2]);
    if (gid < 0 || (gid_t)gid == u->gid) continue;
    const char *s = p[3].s, *end = s + p[3].n;
    while (s < end) {
      const char *stop = memchr(s, ',', (size_t)(end - s));
      if (!stop) stop = end;
      if (same((struct part){s, (size_t)(stop - s)}, u->name)) {
        u->groups[u->ngroups++] = (gid_t)gid;
        break;
      }
      s = stop + 1;
    }
  }
}

static void name_of(struct text_file *f, unsigned id, char *out, size_t size) {
  const char *at = text_of(f);
  for (struct part p[4]; line_next(&at, p, 4);) {
    if (number(p[2]) == (long)id) {
      copy(out, size, p[0]);
      return;
    }
  }
  snprintf(out, size, "%u", id);
}

void user_name(struct userdb *db, uid_t uid, char *out, size_t size) { name_of(&db->passwd, uid, out, size); }
void group_name(struct userdb *db, gid_t gid, char *out, size_t size) { name_of(&db->group, gid, out, size); }
