/* See upload.h. A file without a name (O_TMPFILE) cannot be left behind by a crash; where the file system has none
 * of those, a hidden temporary name in the same directory is used. */
#define _GNU_SOURCE
#include "upload.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include "path.h"

static char *temp_name(const char *path) {
  uint64_t r;
  char *name = NULL;
  if (getrandom(&r, sizeof r, 0) != sizeof r) return NULL;
  int dir = (int)(strrchr(path, '/') - path);
  return asprintf(&name, "%.*s/.aviary-%016llx.tmp", dir, path, (unsigned long long)r) < 0 ? NULL : name;
}

static int open_hidden(struct upload *u) {
  char *dir = strndup(u->path, (size_t)(strrchr(u->path, '/') - u->path));
  if (!dir) return ENOMEM;
  u->fd = open(*dir ? dir : "/", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
  int err = u->fd < 0 ? errno : 0;
  free(dir);
  if (err != EOPNOTSUPP && err != EISDIR) return err;
  u->temp = temp_name(u->path);
  if (!u->temp) return ENOMEM;
  u->fd = open(u->temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (u->fd >= 0) return 0;
  err = errno;
  free(u->temp);
  u->temp = NULL;
  return err;
}

int upload_begin(struct upload *u, char *path, const struct user *owner, long mode) {
  *u = (struct upload){.fd = -1, .path = path_follow(path), .uid = owner->uid, .gid = owner->gid};
  if (!u->path) return errno;
  u->mode = mode >= 0 ? (mode_t)mode & 07777 : 0644;
  struct stat st;
  int err = 0;
  if (stat(u->path, &st) == 0) {
    if (S_ISDIR(st.st_mode)) err = EISDIR;
    else if (!S_ISREG(st.st_mode)) err = EINVAL;
    if (mode < 0) u->mode = st.st_mode & 07777;
    u->uid = st.st_uid;
    u->gid = st.st_gid;
  } else if (errno == ENOENT) {
    err = path_parents(u->path, owner);
  } else {
    err = errno;
  }
  if (!err) err = open_hidden(u);
  if (err) upload_abort(u);
  return err;
}

int upload_write(struct upload *u, const void *data, size_t size) {
  for (const char *at = data; size;) {
    ssize_t n = write(u->fd, at, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n ? errno : ENOSPC;
    at += n;
    size -= (size_t)n;
  }
  return 0;
}

/* Gives the nameless file a name: the final one when it is free, else a temporary one that is renamed over it. */
static int link_in(struct upload *u) {
  char self[40];
  sprintf(self, "/proc/self/fd/%d", u->fd);
  if (linkat(AT_FDCWD, self, AT_FDCWD, u->path, AT_SYMLINK_FOLLOW) == 0) return 0;
  if (errno != EEXIST) return errno;
  u->temp = temp_name(u->path);
  if (!u->temp) return ENOMEM;
  if (linkat(AT_FDCWD, self, AT_FDCWD, u->temp, AT_SYMLINK_FOLLOW)) {
    int err = errno;
    free(u->temp);
    u->temp = NULL;
    return err;
  }
  return 0;
}

int upload_commit(struct upload *u) {
  int err = 0;
  if ((u->uid || u->gid) && fchown(u->fd, u->uid, u->gid)) err = errno;
  if (!err && fchmod(u->fd, u->mode)) err = errno; /* after chown, which clears set-id bits */
  if (!err && !u->temp) err = link_in(u);
  if (!err && u->temp) {
    if (rename(u->temp, u->path)) {
      err = errno;
    } else {
      free(u->temp);
      u->temp = NULL;
    }
  }
  upload_abort(u);
  return err;
}

void upload_abort(struct upload *u) {
  if (u->fd >= 0) close(u->fd);
  if (u->temp) unlink(u->temp);
  free(u->temp);
  free(u->path);
  *u = (struct upload){.fd = -1};
}
