/* See metrics.h. Sources: proc(5), /proc/stat and /proc/meminfo. */
#define _GNU_SOURCE
#include "metrics.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

static void slurp(const char *path, char *to, size_t size) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t n = fd < 0 ? 0 : read(fd, to, size - 1);
  if (fd >= 0) close(fd);
  to[n > 0 ? n : 0] = 0;
}

static uint64_t meminfo(const char *text, const char *key) {
  const char *at = strstr(text, key);
  return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

void metrics_send(struct port *port, uint32_t stream) {
  static unsigned long long last_busy, last_all;
  char text[4096];
  unsigned long long t[8] = {0}, all = 0;
  slurp("/proc/stat", text, sizeof text);
  sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", t, t + 1, t + 2, t + 3, t + 4, t + 5, t + 6, t + 7);
  for (int i = 0; i < 8; i++) all += t[i];
  unsigned long long busy = all - t[3] - t[4]; /* without idle and iowait */
  uint64_t permille100 = 0;                    /* hundredths of a percent */
  if (all > last_all && busy >= last_busy) permille100 = (busy - last_busy) * 10000 / (all - last_all);
  last_all = all;
  last_busy = busy;
  slurp("/proc/meminfo", text, sizeof text);
  uint64_t total = meminfo(text, "MemTotal:"), available = meminfo(text, "MemAvailable:");
  struct statfs fs = {0};
  statfs("/", &fs);
  struct builder b = {0};
  put_number(&b, F_CPU, permille100);
  put_number(&b, F_MEM_USED, total - available);
  put_number(&b, F_MEM_TOTAL, total);
  put_number(&b, F_DISK_USED, (uint64_t)(fs.f_blocks - fs.f_bfree) * (uint64_t)fs.f_bsize);
  put_number(&b, F_DISK_TOTAL, (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize);
  port_reply(port, stream, &b);
}
