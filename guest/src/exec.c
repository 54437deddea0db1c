/* EXEC: from the request's fields to a running process with its pipes or terminal. ctl thread only. */
#define _GNU_SOURCE
#include "exec.h"
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>
#include "cgroup.h"
#include "identity.h"
#include "proc.h"
#include "spawn.h"
#include "users.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

struct request {
  char **argv, **envs;
  size_t argc, envc;
  char *cwd, *user, *tag;
  uint16_t cols, rows;
  bool pty, stdin_open, background;
  uint64_t window;
};

static struct userdb users;

static bool push(char ***list, size_t *n, char *value) {
  char **next = value ? realloc(*list, sizeof *next * (*n + 2)) : NULL;
  if (!next) {
    free(value);
    return false;
  }
  next[(*n)++] = value;
  next[*n] = NULL;
  *list = next;
  return true;
}

static void request_free(struct request *r) {
  for (size_t i = 0; i < r->argc; i++) free(r->argv[i]);
  for (size_t i = 0; i < r->envc; i++) free(r->envs[i]);
  free(r->argv);
  free(r->envs);
  free(r->cwd);
  free(r->user);
  free(r->tag);
}

/* NULL when it is well-formed, else what is wrong. */
static const char *parse(struct request *r, const uint8_t *data, size_t size) {
  struct field f;
  for (size_t pos = 0; field_next(data, size, &pos, &f);) {
    bool ok = true;
    switch (f.tag) {
      case F_ARG: ok = push(&r->argv, &r->argc, field_string(&f)); break;
      case F_ENV: ok = push(&r->envs, &r->envc, field_string(&f)); break;
      case F_CWD: free(r->cwd); ok = (r->cwd = field_string(&f)) != NULL; break;
      case F_USER: free(r->user); ok = (r->user = field_string(&f)) != NULL; break;
      case F_TAG: free(r->tag); ok = (r->tag = field_string(&f)) != NULL; break;
      case F_COLS: r->cols = (uint16_t)field_number(&f); r->pty = true; break;
      case F_ROWS: r->rows = (uint16_t)field_number(&f); r->pty = true; break;
      case F_STDIN: r->stdin_open = field_number(&f) != 0; break;
      case F_BACKGROUND: r->background = field_number(&f) != 0; break;
      case F_WINDOW: r->window = field_number(&f); break;
    }
    if (!ok) return "an argument holds a NUL byte, or memory is out";
  }
  if (!r->argc) return "no command was given";
  return NULL;
}

static bool tag_ok(const char *tag) {
  size_t n = strlen(tag);
  bool digits = true;
  for (const char *c = tag; *c; c++) digits = digits && isdigit((unsigned char)*c);
  return n && n <= TAG_MAX && !digits;
}

static void tag_new(char *tag, bool pty) {
  do {
    uint32_t r;
    if (getrandom(&r, sizeof r, 0) != sizeof r) abort(); /* cannot happen: the generator is seeded at boot */
    sprintf(tag, "%s-%08x", pty ? "pty" : "proc", r);
  } while (proc_running_tag(tag));
}

/* Later values win; the strings stay the callers'. */
struct env {
  char **list;
  size_t n, cap;
};
static bool env_put(struct env *e, char *entry) {
  size_t key = (size_t)(strchrnul(entry, '=') - entry);
  for (size_t i = 0; i < e->n; i++) {
    if (strncmp(e->list[i], entry, key + 1)) continue;
    e->list[i] = entry;
    return true;
  }
  if (e->n + 1 >= e->cap) {
    size_t cap = e->cap ? 2 * e->cap : 32;
    char **list = realloc(e->list, sizeof *list * cap);
    if (!list) return false;
    e->list = list;
    e->cap = cap;
  }
  e->list[e->n++] = entry;
  e->list[e->n] = NULL;
  return true;
}

static int terminal(struct request *r, const struct user *u, int *slave) {
  int fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), zero = 0;
  if (fd < 0) return -1;
  struct winsize size = {.ws_col = r->cols ? r->cols : 80, .ws_row = r->rows ? r->rows : 24};
  if (ioctl(fd, TIOCSPTLCK, &zero) || ioctl(fd, TIOCSWINSZ, &size) ||
      (*slave = ioctl(fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
    close(fd);
    return -1;
  }
  if (u->uid && fchown(*slave, u->uid, (gid_t)-1)) {
    close(*slave);
    close(fd);
    return -1;
  }
  return fd;
}

struct ends { /* ours[] stay here, theirs[] become 0, 1, 2; -1 where there is none */
  int ours[3], theirs[3];
};
static void ends_close(int *fd) {
  for (int i = 0; i < 3; i++)
    if (fd[i] >= 0 && (i == 0 || fd[i] != fd[i - 1])) close(fd[i]);
}

static int connect_ends(struct request *r, const struct user *u, struct ends *e) {
  *e = (struct ends){{-1, -1, -1}, {-1, -1, -1}};
  if (r->pty) {
    int slave, fd = terminal(r, u, &slave);
    if (fd < 0) return -1;
    *e = (struct ends){{fd, fd, fd}, {slave, slave, slave}};
    return 0;
  }
  for (int i = 0; i < 3; i++) {
    int ends[2];
    if (i == 0 && !r->stdin_open) {
      if ((e->theirs[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0) return -1;
      continue;
    }
    if (pipe2(ends, O_CLOEXEC)) return -1;
    e->ours[i] = ends[i == 0];
    e->theirs[i] = ends[i != 0];
    fcntl(e->ours[i], F_SETFL, O_NONBLOCK); /* our end only: programs expect blocking pipes */
  }
  return 0;
}

static struct proc *record(struct request *r, struct ends *e, pid_t pid, int cgroup) {
  struct proc *p = calloc(1, sizeof *p);
  size_t size = 0;
  for (size_t i = 0; i < r->argc; i++) size += strlen(r->argv[i]) + 1;
  if (!p || !(p->args = malloc(size))) {
    free(p);
    return NULL;
  }
  char *to = p->args;
  for (size_t i = 0; i < r->argc; i++) to = stpcpy(to, r->argv[i]) + 1;
  p->args_size = (uint32_t)size;
  p->pid = pid;
  p->pty = r->pty;
  p->background = r->background;
  p->cgroup = cgroup;
  p->input_fd = e->ours[0];
  p->input_end = &p->input;
  p->outputs = r->pty ? 1 : 2;
  strcpy(p->tag, r->tag);
  output_start(&p->out[0], p, e->ours[1], r->pty ? CH_PTY : CH_STDOUT);
  if (!r->pty) output_start(&p->out[1], p, e->ours[2], CH_STDERR);
  input_register(p);
  proc_add(p);
  return p;
}

static void run(struct port *port, uint32_t stream, struct request *r) {
  struct user u;
  char name[64], text[512];
  if (r->user) snprintf(name, sizeof name, "%s", r->user);
  else identity_user(name, sizeof name);
  if (user_find(&users, name, &u)) {
    snprintf(text, sizeof text, "no user '%.64s' in the capsule", name);
    port_fail(port, stream, ENOENT, "user", text);
    return;
  }
  user_groups(&users, &u);

  char home[300], user[100], logname[100], shell[160], cwd[4400];
  snprintf(home, sizeof home, "HOME=%s", u.home);
  snprintf(user, sizeof user, "USER=%s", u.name);
  snprintf(logname, sizeof logname, "LOGNAME=%s", u.name);
  snprintf(shell, sizeof shell, "SHELL=%s", u.shell);
  if (!r->cwd) snprintf(cwd, sizeof cwd, "%s", u.home);
  else if (r->cwd[0] == '/') snprintf(cwd, sizeof cwd, "%.4096s", r->cwd);
  else if (r->cwd[0] == '~' && (!r->cwd[1] || r->cwd[1] == '/')) snprintf(cwd, sizeof cwd, "%s%.4000s", u.home, r->cwd + 1);
  else snprintf(cwd, sizeof cwd, "%s/%.4000s", u.home, r->cwd);
  if (!r->cwd && access(cwd, X_OK)) strcpy(cwd, "/"); /* a user without a home still can run things */

  struct env env = {0};
  bool ok = env_put(&env, home) && env_put(&env, user) && env_put(&env, logname) && env_put(&env, shell) &&
            env_put(&env, "PATH=" DEFAULT_PATH) && env_put(&env, "LANG=C.UTF-8");
  if (r->pty) ok = ok && env_put(&env, "TERM=xterm-256color");
  for (char **e = identity_envs(); *e; e++) ok = ok && env_put(&env, *e);
  for (size_t i = 0; i < r->envc; i++) ok = ok && env_put(&env, r->envs[i]);

  struct ends e;
  if (!ok || connect_ends(r, &u, &e)) {
    int err = ok ? errno : ENOMEM;
    if (ok) {
      ends_close(e.ours);
      ends_close(e.theirs);
    }
    free(env.list);
    port_fail(port, stream, err, "start", "could not make pipes or a terminal for the command");
    return;
  }
  const char *path = "";
  for (size_t i = 0; i < env.n; i++)
    if (!strncmp(env.list[i], "PATH=", 5)) path = env.list[i] + 5;
  int slot = cgroup_take();
  struct spawn s = {.argv = r->argv, .envp = env.list, .path = path, .cwd = cwd, .user = &u,
                    .fds = {e.theirs[0], e.theirs[1], e.theirs[2]}, .tty = r->pty, .init = identity.init,
                    .cgroup = cgroup_fd(slot)};
  pid_t pid = spawn_run(&s);
  ends_close(e.theirs);
  free(env.list);
  struct proc *p = pid < 0 ? NULL : record(r, &e, pid, slot);
  if (!p) {
    if (pid > 0) kill(-pid, SIGKILL); /* without a record nobody could ever stop it */
    ends_close(e.ours);
    cgroup_release(slot);
    snprintf(text, sizeof text, "%.400s: %s", pid >= 0 ? "out of memory" : !strcmp(s.stage, "cwd") ? cwd : r->argv[0],
             strerror(pid < 0 ? s.err : ENOMEM));
    port_fail(port, stream, pid < 0 ? s.err : ENOMEM, pid < 0 ? s.stage : "start", text);
    return;
  }
  if (!attach_add(p, stream, (int64_t)r->window, !r->background, 0, 0)) {
    port_fail(port, stream, ENOMEM, "start", "out of memory in the capsule");
    return;
  }
  struct builder b = {0};
  put_number(&b, F_PID, (uint64_t)pid);
  put_string(&b, F_TAG, p->tag);
  port_reply(port, stream, &b);
}

void exec_start(struct port *port, uint32_t stream, const uint8_t *data, size_t size) {
  if (!users.passwd.path) userdb_init(&users);
  struct request r = {0};
  char tag[32];
  const char *wrong = parse(&r, data, size);
  if (wrong) {
    port_fail(port, stream, EINVAL, "request", wrong);
  } else if (r.tag && !tag_ok(r.tag)) {
    port_fail(port, stream, EINVAL, "request", "a tag has 1 to 128 characters and is not a number");
  } else if (r.tag && proc_running_tag(r.tag)) {
    port_fail(port, stream, EEXIST, "tag", "a running process has this tag");
  } else {
    if (!r.tag) {
      tag_new(tag, r.pty);
      r.tag = strdup(tag);
    }
    if (r.tag) run(port, stream, &r);
    else port_fail(port, stream, ENOMEM, "start", "out of memory in the capsule");
  }
  request_free(&r);
}
