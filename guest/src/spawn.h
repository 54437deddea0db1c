/* Starting one program: clone with shared memory (as vfork), straight into its cgroup, own session, user, cwd. */
#ifndef SPAWN_H
#define SPAWN_H
#include <stdbool.h>
#include <sys/types.h>
#include "users.h"

struct spawn {
  char **argv, **envp;
  const char *path; /* PATH of envp, for argv[0] without a slash */
  const char *cwd;
  const struct user *user;
  int fds[3]; /* become 0, 1, 2; all >= 3 */
  bool tty;   /* fds[0] is a terminal that becomes the controlling one */
  bool init;  /* the agent protects itself from the OOM killer; children must not inherit that */
  int cgroup; /* descriptor of a cgroup directory, or -1 */
  /* out: why the program was not started, when spawn_run returns -1 */
  const char *stage;
  int err;
};

/* The pid, or -1 with stage and err set. A program that does not exist starts: it says so on stderr and ends
 * with 127 (126 when it may not be run). */
pid_t spawn_run(struct spawn *s);
#endif
