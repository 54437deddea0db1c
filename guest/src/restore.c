/* See restore.h. Entropy interface: Linux random(4). The ext4 resize is EXT4_IOC_RESIZE_FS of fs/ext4/ext4.h. */
#define _GNU_SOURCE
#include "restore.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/random.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>
#include "bytes.h"
#include "cgroup.h"
#include "identity.h"

#define EXT4_RESIZE _IOW('f', 16, uint64_t)
#define ENTROPY_MAX 512
#define HOSTS_MAX 8192

static int random_fd = -1, boot_id_fd = -1, machine_id_fd = -1, hosts_fd = -1, hostname_fd = -1;

struct failure {
  const char *stage;
  int err;
};
/* Notes the first failure only; the rest of the identity is set all the same. */
static void check(struct failure *f, const char *stage, bool ok) {
  if (ok || f->stage) return;
  f->stage = stage;
  f->err = errno;
}

static bool put_file(int fd, const char *text) {
  size_t n = strlen(text);
  return fd >= 0 && pwrite(fd, text, n, 0) == (ssize_t)n && ftruncate(fd, (off_t)n) == 0;
}

static bool put_path(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  bool ok = put_file(fd, text);
  if (fd >= 0) close(fd);
  return ok;
}

static int bind_over(const char *from, const char *over, mode_t mode) {
  int fd = open(from, O_RDWR | O_CREAT | O_CLOEXEC, mode);
  if (fd >= 0 && mount(from, over, NULL, MS_BIND, NULL) && errno == ENOENT) {
    int made = open(over, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
    if (made >= 0) close(made);
    mount(from, over, NULL, MS_BIND, NULL);
  }
  return fd;
}

static void uuid(char *out) {
  uint8_t r[16];
  if (getrandom(r, sizeof r, 0) != sizeof r) abort(); /* cannot happen once the generator is seeded */
  r[6] = (r[6] & 0x0f) | 0x40;
  r[8] = (r[8] & 0x3f) | 0x80;
  for (int i = 0; i < 16; i++) out += sprintf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", r[i]);
  strcpy(out, "\n");
}

void restore_prepare(void) {
  char id[40];
  random_fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
  boot_id_fd = bind_over("/run/aviary/boot_id", "/proc/sys/kernel/random/boot_id", 0444);
  machine_id_fd = bind_over("/run/aviary/machine-id", "/etc/machine-id", 0444);
  /* On tmpfs, because the first write to a disk file is a long way through the kernel for a fresh clone. */
  char original[HOSTS_MAX] = "127.0.0.1 localhost\n";
  int fd = open("/etc/hosts", O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  ssize_t n = fd < 0 ? -1 : read(fd, original, sizeof original - 1);
  if (fd >= 0) close(fd);
  if (n > 0) original[n] = 0;
  hosts_fd = bind_over("/run/aviary/hosts", "/etc/hosts", 0644);
  put_file(hosts_fd, original);
  hostname_fd = bind_over("/run/aviary/hostname", "/etc/hostname", 0644);
  uuid(id);
  put_file(boot_id_fd, id);
}

static bool seed(const struct field *f) {
  struct {
    struct rand_pool_info info;
    uint8_t data[ENTROPY_MAX];
  } pool;
  uint32_t n = f->length < ENTROPY_MAX ? f->length : ENTROPY_MAX;
  memcpy(pool.info.buf, f->value, n);
  pool.info.entropy_count = (int)n * 8;
  pool.info.buf_size = (int)n;
  bool ok = ioctl(random_fd, RNDADDENTROPY, &pool) == 0 && ioctl(random_fd, RNDRESEEDCRNG) == 0;
  explicit_bzero(&pool, sizeof pool);
  return ok;
}

/* The 127.0.1.1 line of /etc/hosts (Debian's place for the machine's own name) follows the host name. */
static bool hosts(const char *name) {
  char in[HOSTS_MAX], out[HOSTS_MAX + 128];
  ssize_t n = pread(hosts_fd, in, sizeof in - 1, 0);
  if (n < 0 || n == sizeof in - 1) return n > 0; /* a file this long is the user's own business */
  in[n] = 0;
  char *to = out;
  for (char *line = in; *line;) {
    char *end = strchrnul(line, '\n');
    if (strncmp(line, "127.0.1.1", 9)) {
      to = mempcpy(to, line, (size_t)(end - line));
      *to++ = '\n';
    }
    line = *end ? end + 1 : end;
  }
  sprintf(to, "127.0.1.1 %s\n", name);
  return put_file(hosts_fd, out);
}

static bool grow(void) {
  int dev = open("/dev/vda", O_RDONLY | O_CLOEXEC), root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  uint64_t bytes = 0, blocks;
  struct statfs fs;
  bool ok = dev >= 0 && root >= 0 && ioctl(dev, BLKGETSIZE64, &bytes) == 0 && fstatfs(root, &fs) == 0;
  if (ok) {
    blocks = bytes / (uint64_t)fs.f_bsize;
    ok = ioctl(root, EXT4_RESIZE, &blocks) == 0;
  }
  int err = errno;
  if (dev >= 0) close(dev);
  if (root >= 0) close(root);
  errno = err;
  return ok;
}

static void system_identity(const uint8_t *data, size_t size, struct failure *failed) {
  struct field f;
  if (field_find(data, size, F_ENTROPY, &f)) check(failed, "entropy", seed(&f));
  uint64_t ns = find_number(data, size, F_REALTIME, 0);
  if (ns) {
    struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    check(failed, "clock", clock_settime(CLOCK_REALTIME, &t) == 0);
  }
  if (field_find(data, size, F_HOSTNAME, &f) && f.length && f.length <= 63) {
    char name[72];
    snprintf(name, sizeof name, "%.*s", (int)f.length, (const char *)f.value);
    check(failed, "hostname", sethostname(name, strlen(name)) == 0);
    check(failed, "/etc/hosts", hosts(name));
    strcat(name, "\n");
    check(failed, "/etc/hostname", put_file(hostname_fd, name));
  }
  if (field_find(data, size, F_MACHINE_ID, &f) && f.length == 32) {
    char id[34];
    snprintf(id, sizeof id, "%.32s\n", (const char *)f.value);
    check(failed, "machine-id", put_file(machine_id_fd, id));
  }
  char id[40];
  uuid(id);
  check(failed, "boot_id", put_file(boot_id_fd, id));
  if (find_number(data, size, F_GROW, 0)) check(failed, "grow", grow());
}

static bool envs(const uint8_t *data, size_t size) {
  struct field f;
  size_t n = 0, at = 0;
  for (size_t pos = 0; field_next(data, size, &pos, &f);) n += f.tag == F_ENV;
  char **list = calloc(n + 1, sizeof *list);
  if (!list) return false;
  for (size_t pos = 0; field_next(data, size, &pos, &f);)
    if (f.tag == F_ENV && (list[at] = field_string(&f))) at++;
  identity_set_envs(list);
  return true;
}

void restore_apply(struct port *port, uint32_t stream, const uint8_t *data, size_t size) {
  struct failure failed = {0};
  struct field f;
  char path[300], text[32];
  if (identity.init) system_identity(data, size, &failed);
  snprintf(path, sizeof path, "%s/generation", identity.run);
  snprintf(text, sizeof text, "%llu\n", (unsigned long long)find_number(data, size, F_GENERATION, 0));
  check(&failed, "generation", put_path(path, text));
  check(&failed, "envs", envs(data, size));
  if (field_find(data, size, F_USER, &f)) {
    char *user = field_string(&f);
    if (user) identity_set_user(user);
    free(user);
  }
  check(&failed, "thaw", cgroup_freeze(false)); /* only now may anything of the user's run */
  struct builder b = {0};
  if (failed.stage) port_fail(port, stream, failed.err, failed.stage, "the capsule's identity could not be set");
  else port_reply(port, stream, &b);
}
