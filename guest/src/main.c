/* The guest agent of Aviary: pid 1 of a capsule, or, with --test DIR, an ordinary process that speaks the same
 * protocol over the unix sockets DIR/ctl and DIR/bulk. See PROTOCOL.md. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "bulk.h"
#include "control.h"
#include "identity.h"
#include "init.h"

static void common(void) {
  umask(022);
  signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigprocmask(SIG_BLOCK, &set, NULL); /* read from a signalfd; spawn.c unblocks it for children */
}

static int test_mode(const char *dir, const char *cgroup) {
  static char run[200], ctl[220], bulk[220];
  unsigned char boot[16];
  snprintf(run, sizeof run, "%s", dir);
  snprintf(ctl, sizeof ctl, "%s/ctl", run);
  snprintf(bulk, sizeof bulk, "%s/bulk", run);
  identity.run = run;
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getrandom(boot, sizeof boot, 0) != sizeof boot || bulk_start(NULL, bulk, boot)) {
    fprintf(stderr, "agent: cannot listen on %s: %s\n", bulk, strerror(errno));
    return 1;
  }
  control_run(NULL, ctl, cgroup, boot);
  fprintf(stderr, "agent: cannot listen on %s: %s\n", ctl, strerror(errno));
  return 1;
}

int main(int argc, char **argv) {
  common();
  if (argc >= 3 && !strcmp(argv[1], "--test")) return test_mode(argv[2], argc >= 4 ? argv[3] : NULL);
  if (getpid() != 1) {
    fprintf(stderr, "usage: %s --test DIR [CGROUP]   (without arguments it is pid 1 of a capsule)\n", argv[0]);
    return 2;
  }
  init_run();
}
