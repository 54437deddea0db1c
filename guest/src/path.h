/* Paths as the host names them: absolute, ~, ~/x, or relative to the default user's home. bulk thread and its jobs. */
#ifndef PATH_H
#define PATH_H
#include <stdbool.h>
#include "tlv.h"
#include "users.h"

/* The absolute path on the heap, without doubled or trailing slashes and without "." parts; ".." stays the kernel's
 * business. NULL with errno: EINVAL (empty, NUL byte), ENAMETOOLONG, ENOMEM. */
char *path_resolve(const struct field *f, const struct user *user);
/* Follows links at the last part only, so that a write lands in the link's target even when that does not exist
 * yet. Frees `path`; NULL with errno (ELOOP). */
char *path_follow(char *path);
/* Creates the missing directories above `path` (0755), owned by the user. 0 or errno. */
int path_parents(const char *path, const struct user *user);
/* One directory with its parents, as above. 0 or errno. */
int path_mkdir(const char *path, const struct user *user);
/* True for what must never be removed or moved: / and mount points, however they are spelled. */
bool path_protected(const char *path);
#endif
