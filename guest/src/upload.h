/* One file being written: invisible until it is whole, gone without a trace when it is not. bulk thread only. */
#ifndef UPLOAD_H
#define UPLOAD_H
#include <sys/stat.h>
#include "users.h"

struct upload {
  int fd;
  char *path; /* the final place, links followed */
  char *temp; /* name of the unfinished file, NULL while it has none (O_TMPFILE) */
  mode_t mode;
  uid_t uid;
  gid_t gid;
};
/* Takes `path` over. `mode` is -1 for "as it is, else 0644". 0 or errno; on failure everything is undone. */
int upload_begin(struct upload *u, char *path, const struct user *owner, long mode);
int upload_write(struct upload *u, const void *data, size_t size);
/* Makes it visible. 0 or errno; either way the upload is over. */
int upload_commit(struct upload *u);
void upload_abort(struct upload *u);
#endif
