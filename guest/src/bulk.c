/* See bulk.h. Dispatch of the file requests and the pump of transfers. */
#define _GNU_SOURCE
#include "bulk.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "bytes.h"
#include "entry.h"
#include "identity.h"
#include "job.h"
#include "path.h"
#include "port.h"
#include "upload.h"

#define DATA_MAX (32768u - FRAME_HEADER - FRAME_TRAILER) /* a frame fits the driver's 32 KiB write */

struct transfer {
  struct transfer *next;
  uint32_t stream;
  uint8_t type; /* T_READ, T_WRITE or T_LIST */
  int64_t credit; /* may fall below zero by the cost of a small frame */
  int fd;             /* T_READ */
  uint64_t left;      /* T_READ: bytes still wanted */
  struct upload up;   /* T_WRITE */
  uint64_t taken;     /* T_WRITE: written, not yet granted back */
  struct builder out; /* T_LIST */
  size_t at;
  char *path; /* for messages */
};

static struct loop loop;
static struct port bulk;
static struct transfer *transfers;
static struct userdb users;

static void fail(uint32_t stream, int err, const char *path) {
  char text[700];
  const char *why = err == EINVAL   ? "not a regular file, or not a valid path"
                    : err == EFBIG  ? "the list is too long: more than 100000 entries or 24 MiB; list a part of it"
                    : err == EPERM  ? "refused"
                    : err == EBUSY  ? "it is, or contains, a mount point"
                                    : strerrordesc_np(err);
  snprintf(text, sizeof text, "%.512s: %s", path, why ? why : "unknown error");
  port_fail(&bulk, stream, err, "file", text);
}

static void transfer_free(struct transfer *t) {
  struct transfer **at = &transfers;
  while (*at != t) at = &(*at)->next;
  *at = t->next;
  if (t->fd >= 0) close(t->fd);
  if (t->type == T_WRITE) upload_abort(&t->up);
  builder_free(&t->out);
  free(t->path);
  free(t);
}

static struct transfer *transfer_new(uint32_t stream, uint8_t type, const char *path) {
  struct transfer *t = calloc(1, sizeof *t);
  if (!t || !(t->path = strdup(path))) {
    free(t);
    return NULL;
  }
  t->stream = stream;
  t->type = type;
  t->fd = t->up.fd = -1;
  t->next = transfers;
  transfers = t;
  return t;
}

static struct transfer *transfer_find(uint32_t stream) {
  struct transfer *t = transfers;
  while (t && t->stream != stream) t = t->next;
  return t;
}

static void default_user(struct user *u) {
  char name[64];
  identity_user(name, sizeof name);
  if (user_find(&users, name, u)) user_find(&users, "root", u);
}

/* A regular file open for reading. Opening a fifo or a device can block or do things, so look first. */
static int open_regular(const char *path, int *fd) {
  struct stat st;
  if (stat(path, &st)) return errno;
  if (S_ISDIR(st.st_mode)) return EISDIR;
  if (!S_ISREG(st.st_mode)) return EINVAL;
  if ((*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) < 0) return errno;
  if (fstat(*fd, &st) == 0 && S_ISREG(st.st_mode)) return 0;
  close(*fd);
  return EINVAL;
}

static void start_read(const struct frame *f, const char *path) {
  int fd = -1, err = open_regular(path, &fd);
  struct builder b = {0};
  if (!err) err = entry_stat(&b, &users, path);
  uint64_t offset = find_number(f->payload, f->length, F_OFFSET, 0);
  if (!err && offset && lseek(fd, (off_t)offset, SEEK_SET) < 0) err = errno;
  struct transfer *t = err ? NULL : transfer_new(f->stream, T_READ, path);
  if (!t) {
    if (fd >= 0) close(fd);
    builder_free(&b);
    fail(f->stream, err ? err : ENOMEM, path);
    return;
  }
  t->fd = fd;
  t->left = find_number(f->payload, f->length, F_LENGTH, UINT64_MAX);
  t->credit = (int64_t)find_number(f->payload, f->length, F_WINDOW, 0);
  port_reply(&bulk, f->stream, &b);
}

static void start_write(const struct frame *f, char *path, const struct user *standard) {
  struct user owner = *standard;
  struct field field;
  char *name = field_find(f->payload, f->length, F_USER, &field) ? field_string(&field) : NULL;
  int err = name && user_find(&users, name, &owner) ? -1 : 0;
  free(name);
  if (err) {
    port_fail(&bulk, f->stream, ENOENT, "user", "no such user in the capsule");
    return;
  }
  struct transfer *t = transfer_new(f->stream, T_WRITE, path);
  char *own = strdup(path);
  err = !t || !own ? ENOMEM : upload_begin(&t->up, own, &owner, (long)find_number(f->payload, f->length, F_MODE, (uint64_t)-1));
  if (!err) return; /* the answer comes when the file is whole */
  if (t) transfer_free(t);
  fail(f->stream, err, path);
}

static void start_job(const struct frame *f, const char *path) {
  struct job *j = calloc(1, sizeof *j);
  if (!j || !(j->path = strdup(path))) {
    free(j);
    fail(f->stream, ENOMEM, path);
    return;
  }
  j->stream = f->stream;
  j->epoch = f->epoch;
  j->type = f->type;
  j->depth = (uint32_t)find_number(f->payload, f->length, F_DEPTH, 1);
  if (f->type == T_LIST) {
    struct transfer *t = transfer_new(f->stream, T_LIST, path);
    if (t) t->credit = (int64_t)find_number(f->payload, f->length, F_WINDOW, 0);
  }
  job_start(j);
}

static void job_done(struct job *j) {
  struct transfer *t = transfer_find(j->stream);
  struct builder b = {0};
  if (j->data.failed) j->err = ENOMEM;
  if (j->epoch != bulk.epoch || (j->type == T_LIST && !t)) {
    /* the host that asked is gone, or has closed the stream */
  } else if (j->err) {
    if (t) transfer_free(t);
    fail(j->stream, j->err, j->path);
  } else {
    port_reply(&bulk, j->stream, &b);
    if (t) {
      t->out = j->data;
      t->left = 1; /* the list is there */
      j->data = (struct builder){0};
    }
  }
  job_free(j);
}

static void move(const struct frame *f, const char *from, const struct user *user) {
  struct field field;
  char *to = field_find(f->payload, f->length, F_TARGET, &field) ? path_resolve(&field, user) : NULL;
  struct stat st;
  int err = 0;
  if (!to) err = EINVAL;
  else if (lstat(from, &st)) err = errno;
  else if (path_protected(from) || path_protected(to)) err = EPERM;
  else if (!(err = path_parents(to, user)) && rename(from, to)) err = errno;
  struct builder b = {0};
  if (!err) err = entry_stat(&b, &users, to);
  if (err) {
    builder_free(&b);
    fail(f->stream, err, err == EEXIST || err == ENOTDIR || err == EISDIR || err == ENOTEMPTY ? to : from);
  } else {
    port_reply(&bulk, f->stream, &b);
  }
  free(to);
}

static void on_request(const struct frame *f) {
  struct field field;
  struct user user;
  default_user(&user);
  errno = EINVAL;
  char *path = field_find(f->payload, f->length, F_PATH, &field) ? path_resolve(&field, &user) : NULL;
  if (!path) {
    fail(f->stream, errno, "path");
    return;
  }
  struct builder b = {0};
  int err = 0;
  switch (f->type) {
    case T_READ: start_read(f, path); break;
    case T_WRITE: start_write(f, path, &user); break;
    case T_LIST:
    case T_REMOVE: start_job(f, path); break;
    case T_MOVE: move(f, path, &user); break;
    case T_STAT:
    case T_MKDIR:
      if (f->type == T_MKDIR) err = path_mkdir(path, &user);
      if (!err) err = entry_stat(&b, &users, path);
      if (err) fail(f->stream, err, path);
      else port_reply(&bulk, f->stream, &b);
      break;
  }
  free(path);
}

static void on_upload(const struct frame *f, struct transfer *t) {
  int err;
  if (f->type == T_DATA) {
    err = upload_write(&t->up, f->payload, f->length);
    t->taken += f->length;
    if (!err && t->taken >= UPLOAD_WINDOW / 4) {
      port_credit(&bulk, f->stream, (uint32_t)t->taken);
      t->taken = 0;
    }
    if (!err) return;
  } else {
    char *path = strdup(t->up.path);
    struct builder b = {0};
    err = upload_commit(&t->up);
    if (!err) err = path ? entry_stat(&b, &users, path) : ENOMEM;
    free(path);
    if (!err) port_reply(&bulk, f->stream, &b);
    else builder_free(&b);
  }
  if (err) fail(f->stream, err, t->path);
  transfer_free(t);
}

static void on_frame(struct port *port, const struct frame *f) {
  (void)port;
  if (f->type >= T_READ && f->type <= T_MOVE) {
    on_request(f);
    return;
  }
  if (f->type == T_QUIESCE) {
    struct builder b = {0};
    port_reply(&bulk, f->stream, &b);
    bulk.quiesced = true;
    return;
  }
  struct transfer *t = transfer_find(f->stream);
  if (!t) return; /* it failed or was closed; what was under way is dropped */
  switch (f->type) {
    case T_DATA:
    case T_END:
      if (t->type == T_WRITE) on_upload(f, t);
      break;
    case T_CREDIT:
      if (f->length >= 4) t->credit += get32(f->payload);
      break;
    case T_CLOSE: transfer_free(t); break;
  }
}

static void on_reset(struct port *port) {
  (void)port;
  while (transfers) transfer_free(transfers);
}

/* One frame of a transfer; true when something was sent. The transfer may be freed. */
static bool pump_one(struct transfer *t) {
  if (t->type == T_WRITE || t->credit <= 0 || (t->type == T_LIST && !t->left)) return false;
  uint32_t want = t->credit < DATA_MAX ? (uint32_t)t->credit : DATA_MAX;
  ssize_t n;
  uint8_t *to = port_reserve(&bulk, want);
  if (!to) return false;
  if (t->type == T_LIST) {
    n = (ssize_t)(t->out.size - t->at < want ? t->out.size - t->at : want);
    if (n) memcpy(to, t->out.data + t->at, (size_t)n);
    t->at += (size_t)n;
  } else {
    if (want > t->left) want = (uint32_t)t->left;
    n = want ? read(t->fd, to, want) : 0;
    if (n < 0 && errno == EINTR) return true;
    if (n > 0) t->left -= (uint64_t)n;
  }
  if (n > 0) {
    port_commit(&bulk, t->stream, T_DATA, 0, (uint32_t)n);
    t->credit -= n > (ssize_t)COST_MIN ? n : (ssize_t)COST_MIN;
    return true;
  }
  if (n < 0) fail(t->stream, errno, t->path);
  else port_send(&bulk, t->stream, T_END, 0, NULL, 0);
  transfer_free(t);
  return true;
}

static int idle(void *arg) {
  (void)arg;
  port_input(&bulk);
  bool moved;
  int turns = 0;
  do {
    moved = false;
    for (struct transfer *t = transfers, *next; t; t = next) {
      next = t->next;
      if (port_has_room(&bulk)) moved |= pump_one(t);
    }
    moved |= port_flush(&bulk);
  } while (moved && ++turns < 16);
  return bulk.readable || moved ? 0 : -1;
}

static void *thread(void *arg) {
  (void)arg;
  loop_run(&loop, idle, NULL);
}

int bulk_start(const char *device, const char *listen_path, const unsigned char boot[16]) {
  bulk.on_frame = on_frame;
  bulk.on_reset = on_reset;
  memcpy(bulk.boot, boot, 16);
  userdb_init(&users);
  pthread_t t;
  if (loop_init(&loop) < 0 || job_init(&loop, job_done) || port_open(&bulk, &loop, device, listen_path)) return -1;
  return pthread_create(&t, NULL, thread, NULL) ? -1 : 0;
}
