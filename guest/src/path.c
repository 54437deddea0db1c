/* See path.h. */
#define _GNU_SOURCE
#include "path.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *clean(char *path) {
  char *to = path;
  for (const char *at = path; *at;) {
    while (*at == '/') at++;
    const char *end = strchrnul(at, '/');
    size_t n = (size_t)(end - at);
    if (n && !(n == 1 && *at == '.')) {
      *to++ = '/';
      memmove(to, at, n);
      to += n;
    }
    at = end;
  }
  if (to == path) *to++ = '/';
  *to = 0;
  return path;
}

char *path_resolve(const struct field *f, const struct user *user) {
  if (!f->length || memchr(f->value, 0, f->length)) {
    errno = EINVAL;
    return NULL;
  }
  char *given = field_string(f), *path = NULL;
  int n = -1;
  if (given && given[0] == '/') n = asprintf(&path, "%s", given);
  else if (given && given[0] == '~' && (!given[1] || given[1] == '/')) n = asprintf(&path, "%s/%s", user->home, given + 1);
  else if (given) n = asprintf(&path, "%s/%s", user->home, given);
  free(given);
  if (n < 0) {
    errno = ENOMEM;
    return NULL;
  }
  if (n >= PATH_MAX) {
    free(path);
    errno = ENAMETOOLONG;
    return NULL;
  }
  return clean(path);
}

char *path_follow(char *path) {
  char target[PATH_MAX];
  for (int i = 0; i < 40; i++) {
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0) return path; /* not a link, or nothing there: the caller finds out which */
    target[n] = 0;
    char *next = NULL, *slash = strrchr(path, '/');
    if (asprintf(&next, "%.*s/%s", target[0] == '/' ? 0 : (int)(slash - path), path, target) < 0) break;
    free(path);
    path = next;
  }
  free(path);
  errno = ELOOP;
  return NULL;
}

static int make_one(const char *path, const struct user *user) {
  if (mkdir(path, 0755)) return errno;
  if (user->uid || user->gid) return chown(path, user->uid, user->gid) ? errno : 0;
  return 0;
}

int path_parents(const char *path, const struct user *user) {
  char *copy = strdup(path), *slash;
  int err = copy ? 0 : ENOMEM;
  struct stat st;
  if (copy && (slash = strrchr(copy, '/')) && slash != copy) {
    *slash = 0;
    if (stat(copy, &st) == 0) { /* the usual case costs one call */
      if (!S_ISDIR(st.st_mode)) err = ENOTDIR;
    } else if (errno == ENOENT) {
      err = path_parents(copy, user);
      if (!err) err = make_one(copy, user);
      if (err == EEXIST) err = 0; /* another transfer made it meanwhile */
    } else {
      err = errno;
    }
  }
  free(copy);
  return err;
}

int path_mkdir(const char *path, const struct user *user) {
  int err = path_parents(path, user);
  return err ? err : make_one(path, user);
}

bool path_protected(const char *path) {
  const char *last = strrchr(path, '/') + 1;
  struct stat self, parent, root;
  if (lstat(path, &self) || lstat("/", &root)) return false; /* missing: the operation itself says so */
  if (!S_ISDIR(self.st_mode)) return false;
  if (!*last || !strcmp(last, "..")) return true;
  if (self.st_dev == root.st_dev && self.st_ino == root.st_ino) return true;
  char *above = NULL;
  if (asprintf(&above, "%s/..", path) < 0) return true;
  bool mount = lstat(above, &parent) == 0 && parent.st_dev != self.st_dev;
  free(above);
  return mount;
}
