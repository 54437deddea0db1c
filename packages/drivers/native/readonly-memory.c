/*
 * Preloaded into QEMU before 8.2, which opens a memory file for writing even when it maps it privately. Opens
 * of /t/mem become read-only, so the shared template can be owned by root and mounted read-only: a private
 * mapping of a read-only file may still be written. From 8.2 on `rom=off,readonly=on` says the same.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int open_file(const char *path, int flags, int mode) {
  if (!strcmp(path, "/t/mem")) flags = (flags & ~(O_ACCMODE | O_CREAT)) | O_RDONLY;
  return syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int open64(const char *path, int flags, ...) {
  va_list args;
  va_start(args, flags);
  int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;
  va_end(args);
  return open_file(path, flags, mode);
}
int __open64_2(const char *path, int flags) { return open_file(path, flags, 0); }
int open(const char *path, int flags, ...) __attribute__((alias("open64")));
int __open_2(const char *path, int flags) __attribute__((alias("__open64_2")));
