/* See job.h. */
#define _GNU_SOURCE
#include "job.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "entry.h"
#include "path.h"
#include "wire.h"

#define RUNNING_MAX 4
#define STACK (8 << 20) /* address space only: it is touched as deep as the tree is */
#define DEPTH_MAX 4000 /* of a removed tree; deeper ones cannot be named by a path any more */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct job *finished;               /* guarded by lock */
static struct job *waiting, **waiting_end; /* loop thread only */
static int running, event_fd;
static struct source event_source;
static void (*on_done)(struct job *);

/* --- LIST --- */

static int list_dir(struct job *j, struct userdb *users, char *path, size_t n, uint32_t depth) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK);
  DIR *d = fd < 0 ? NULL : fdopendir(fd);
  if (!d) {
    int err = errno;
    if (fd >= 0) close(fd);
    return err;
  }
  int err = 0;
  for (struct dirent *e; !err && (e = readdir(d));) {
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    size_t m = strlen(e->d_name);
    if (n + 1 + m >= PATH_MAX) continue; /* no call could name it */
    struct stat st;
    if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW)) continue; /* removed meanwhile */
    if (++j->entries > LIST_ENTRIES_MAX || j->data.size > LIST_BYTES_MAX) {
      err = EFBIG;
      break;
    }
    path[n] = '/';
    memcpy(path + n + 1, e->d_name, m + 1);
    entry_put(&j->data, users, path, &st);
    if (S_ISDIR(st.st_mode) && depth > 1) {
      int below = list_dir(j, users, path, n + 1 + m, depth - 1);
      if (below == EFBIG || below == EMFILE || below == ENFILE || below == ENOMEM) err = below;
    }
  }
  closedir(d);
  return err;
}

static int run_list(struct job *j) {
  char path[PATH_MAX];
  struct userdb users;
  struct stat st;
  if (stat(j->path, &st)) return errno;
  if (!S_ISDIR(st.st_mode)) return ENOTDIR;
  userdb_init(&users);
  size_t n = strcmp(j->path, "/") ? strlen(j->path) : 0; /* the children of "/" are "/name", not "//name" */
  memcpy(path, j->path, strlen(j->path) + 1);
  int err = list_dir(j, &users, path, n, j->depth ? j->depth : 1);
  free(users.passwd.text);
  free(users.group.text);
  return err;
}

/* --- REMOVE --- */

/* Removes what is in the directory `dir` (closed here); never crosses into another file system. */
static int empty_dir(int dir, dev_t dev, int depth) {
  errno = ENAMETOOLONG;
  DIR *d = depth < DEPTH_MAX ? fdopendir(dir) : NULL;
  if (!d) {
    int err = errno;
    close(dir);
    return err;
  }
  int err = 0;
  for (struct dirent *e; !err && (e = readdir(d));) {
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    if (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN) {
      if (unlinkat(dir, e->d_name, 0) && errno != ENOENT) err = errno;
      continue;
    }
    struct stat st;
    if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW)) continue;
    if (!S_ISDIR(st.st_mode)) {
      if (unlinkat(dir, e->d_name, 0) && errno != ENOENT) err = errno;
      continue;
    }
    if (st.st_dev != dev) err = EBUSY;
    int sub = err ? -1 : openat(dir, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (!err && sub < 0) err = errno;
    if (!err) err = empty_dir(sub, dev, depth + 1);
    if (!err && unlinkat(dir, e->d_name, AT_REMOVEDIR) && errno != ENOENT) err = errno;
  }
  closedir(d);
  return err;
}

static int run_remove(struct job *j) {
  struct stat st;
  if (lstat(j->path, &st)) return errno;
  if (path_protected(j->path)) return EPERM;
  if (!S_ISDIR(st.st_mode)) return unlink(j->path) ? errno : 0;
  int dir = open(j->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int err = dir < 0 ? errno : empty_dir(dir, st.st_dev, 0);
  return err ? err : rmdir(j->path) ? errno : 0;
}

/* --- threads --- */

static void *thread(void *arg) {
  struct job *j = arg;
  j->err = j->type == T_LIST ? run_list(j) : run_remove(j);
  pthread_mutex_lock(&lock);
  j->next = finished;
  finished = j;
  pthread_mutex_unlock(&lock);
  uint64_t one = 1;
  ssize_t n = write(event_fd, &one, sizeof one);
  (void)n; /* an eventfd takes it unless 2^64 jobs are unread */
  return NULL;
}

static void launch(struct job *j) {
  pthread_attr_t attr;
  pthread_t t;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, STACK);
  pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
  running++;
  int err = pthread_create(&t, &attr, thread, j);
  pthread_attr_destroy(&attr);
  if (!err) return;
  running--;
  j->err = err;
  on_done(j);
}

static void on_event(struct source *s, uint32_t events) {
  (void)s;
  (void)events;
  uint64_t count;
  if (read(event_fd, &count, sizeof count) != sizeof count) return;
  pthread_mutex_lock(&lock);
  struct job *done = finished;
  finished = NULL;
  pthread_mutex_unlock(&lock);
  while (done) {
    struct job *j = done;
    done = j->next;
    running--;
    on_done(j);
  }
  while (waiting && running < RUNNING_MAX) {
    struct job *j = waiting;
    waiting = j->next;
    if (!waiting) waiting_end = &waiting;
    launch(j);
  }
}

int job_init(struct loop *loop, void (*done)(struct job *)) {
  on_done = done;
  waiting_end = &waiting;
  event_source.ready = on_event;
  event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  return event_fd < 0 ? -1 : loop_add(loop, event_fd, &event_source, EPOLLIN);
}

void job_start(struct job *j) {
  j->next = NULL;
  if (running < RUNNING_MAX) {
    launch(j);
    return;
  }
  *waiting_end = j;
  waiting_end = &j->next;
}

void job_free(struct job *j) {
  free(j->path);
  builder_free(&j->data);
  free(j);
}
