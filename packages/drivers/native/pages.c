/*
 * The private pages of a stopped machine. Part of aviary-host; see host-tool.c.
 *
 * A capsule maps its template's memory file MAP_PRIVATE: a page it wrote is anonymous, every other page is
 * still the file's. /proc/PID/pagemap tells them apart (Documentation/admin-guide/mm/pagemap.rst: bit 63
 * present, 62 swapped, 61 file-mapped), so a pause copies only what the capsule has changed.
 *
 * File: "AVPAGES1", u64 pages of the mapping, then runs: u32 first page, u32 count (bit 31: all zero, no
 * bytes follow), count*4096 bytes; ends with u32 0xffffffff, u32 number of runs. Little endian.
 *
 *   pages-dump  PID MEMFILE OUT      writes OUT whole and synced (a temporary name first); prints bytes
 *   pages-load  PID MEMFILE IN       into the mapping of a machine that has not started yet
 *   pages-apply BASE IN OUT          OUT = copy of the sparse file BASE with the pages applied, synced
 */
#include "host-tool.h"
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#define PAGE 4096ULL
#define CHUNK 256 /* pages moved per call */
#define END 0xffffffffU
#define ZERO 0x80000000U
#define FICLONE _IOW(0x94, 9, int)

static const char MAGIC[8] = "AVPAGES1";
static char buffer[CHUNK * PAGE];

struct mapping { uint64_t start, pages; };

/* The largest writable private mapping of the file (by device and inode: the path differs in a namespace). */
static int find_mapping(const char *pid, const char *file, struct mapping *found) {
  struct stat st;
  char path[64], line[512];
  if (stat(file, &st)) return fail("cannot stat %s: %s", file, strerror(errno));
  snprintf(path, sizeof path, "/proc/%s/maps", pid);
  FILE *maps = fopen(path, "re");
  if (!maps) return fail("cannot read %s: %s", path, strerror(errno));
  found->pages = 0;
  while (fgets(line, sizeof line, maps)) {
    unsigned long long start, end, inode;
    unsigned major_, minor_;
    char perms[8];
    if (sscanf(line, "%llx-%llx %7s %*x %x:%x %llu", &start, &end, perms, &major_, &minor_, &inode) != 6) continue;
    if (inode != st.st_ino || major_ != major(st.st_dev) || minor_ != minor(st.st_dev)) continue;
    if (strcmp(perms, "rw-p") || (end - start) / PAGE <= found->pages) continue;
    *found = (struct mapping){start, (end - start) / PAGE};
  }
  fclose(maps);
  return found->pages ? 0 : fail("process %s does not map %s", pid, file);
}

static int open_proc(const char *pid, const char *what, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/%s", pid, what);
  return open(path, flags | O_CLOEXEC);
}

static int write_all(int fd, const void *data, size_t size) {
  for (const char *p = data; size;) {
    ssize_t n = write(fd, p, size);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return -1;
    p += n, size -= n;
  }
  return 0;
}

static int is_zero(const char *page) {
  return page[0] == 0 && !memcmp(page, page + 1, PAGE - 1);
}

/* Output is gathered so that small runs do not cost a write each. */
static char out_buffer[1 << 20];
static size_t out_used;
static int out_fd;
static uint64_t out_total;

static int out_flush(void) {
  int r = write_all(out_fd, out_buffer, out_used);
  out_used = 0;
  return r;
}
static int put(const void *data, size_t size) {
  out_total += size;
  if (out_used + size > sizeof out_buffer && out_flush()) return -1;
  if (size > sizeof out_buffer) return write_all(out_fd, data, size);
  memcpy(out_buffer + out_used, data, size);
  out_used += size;
  return 0;
}

static int put_run(uint32_t first, uint32_t count, int zero, const char *data, uint32_t *runs) {
  uint32_t head[2] = {first, count | (zero ? ZERO : 0)};
  ++*runs;
  if (put(head, sizeof head)) return -1;
  return zero ? 0 : put(data, count * PAGE);
}

/* Copies `count` pages from `first`, split where zero pages begin or end. */
static int dump_span(int mem, uint64_t start, uint32_t first, uint32_t count, uint32_t *runs) {
  while (count) {
    uint32_t n = count < CHUNK ? count : CHUNK;
    if (pread(mem, buffer, n * PAGE, start + first * PAGE) != (ssize_t)(n * PAGE)) return -1;
    for (uint32_t i = 0; i < n;) {
      int zero = is_zero(buffer + i * PAGE);
      uint32_t j = i + 1;
      while (j < n && is_zero(buffer + j * PAGE) == zero) j++;
      if (put_run(first + i, j - i, zero, buffer + i * PAGE, runs)) return -1;
      i = j;
    }
    first += n, count -= n;
  }
  return 0;
}

static int dump(int mem, int pagemap, struct mapping m, uint32_t *runs) {
  static uint64_t entries[8192];
  uint32_t span = 0, length = 0;
  for (uint64_t page = 0; page < m.pages;) {
    uint64_t n = m.pages - page < 8192 ? m.pages - page : 8192;
    if (pread(pagemap, entries, n * 8, (m.start / PAGE + page) * 8) != (ssize_t)(n * 8)) return -1;
    for (uint64_t i = 0; i < n; i++, page++) {
      uint64_t e = entries[i];
      int own = (e >> 62 & 1) || ((e >> 63 & 1) && !(e >> 61 & 1));
      if (own && length && span + length == page) length++;
      else if (own) {
        if (length && dump_span(mem, m.start, span, length, runs)) return -1;
        span = page, length = 1;
      }
    }
  }
  return length ? dump_span(mem, m.start, span, length, runs) : 0;
}

int pages_dump_main(int argc, char **argv) {
  if (argc != 4) return fail("usage: pages-dump PID MEMFILE OUT");
  struct mapping m;
  if (find_mapping(argv[1], argv[2], &m)) return 1;
  char temporary[4096];
  snprintf(temporary, sizeof temporary, "%s.part", argv[3]);
  int mem = open_proc(argv[1], "mem", O_RDONLY), pagemap = open_proc(argv[1], "pagemap", O_RDONLY);
  if (mem < 0 || pagemap < 0) return fail("cannot read the memory of %s: %s", argv[1], strerror(errno));
  out_fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (out_fd < 0) return fail("cannot write %s: %s", temporary, strerror(errno));
  uint32_t runs = 0;
  if (put(MAGIC, 8) || put(&m.pages, 8) || dump(mem, pagemap, m, &runs))
    return fail("cannot copy the memory of %s to %s: %s", argv[1], temporary, strerror(errno));
  uint32_t tail[2] = {END, runs};
  if (put(tail, sizeof tail) || out_flush() || fdatasync(out_fd) || close(out_fd) || rename(temporary, argv[3]))
    return fail("cannot finish %s: %s", argv[3], strerror(errno));
  printf("%llu\n", (unsigned long long)out_total);
  return 0;
}

/* Walks IN (mapped), handing each run to `store`. Checks every bound before a byte is copied. */
static int walk(const char *path, uint64_t pages, int (*store)(void *, uint64_t, const char *, uint64_t), void *to) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || fstat(fd, &st)) return fail("cannot read %s: %s", path, strerror(errno));
  if (st.st_size < 24) return fail("%s is not whole", path);
  const char *data = mmap(0, st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
  if (data == MAP_FAILED) return fail("cannot map %s: %s", path, strerror(errno));
  uint64_t recorded, at = 16, size = st.st_size;
  uint32_t runs = 0, head[2];
  memcpy(&recorded, data + 8, 8);
  if (memcmp(data, MAGIC, 8) || recorded != pages) return fail("%s is not a dump of this memory", path);
  for (;;) {
    if (at + 8 > size) return fail("%s is not whole", path);
    memcpy(head, data + at, 8);
    at += 8;
    if (head[0] == END) break;
    uint64_t count = head[1] & ~ZERO;
    int zero = !!(head[1] & ZERO);
    if (head[0] + count > pages || (!zero && at + count * PAGE > size)) return fail("%s is damaged", path);
    if (store(to, head[0], zero ? 0 : data + at, count)) return fail("cannot restore %s: %s", path, strerror(errno));
    if (!zero) at += count * PAGE;
    runs++;
  }
  return runs == head[1] && at == size ? 0 : fail("%s is damaged", path);
}

struct target { int fd; uint64_t start; };

static int store_pages(void *to, uint64_t first, const char *data, uint64_t count) {
  struct target *t = to;
  while (count) {
    uint64_t n = count < CHUNK ? count : CHUNK;
    if (pwrite(t->fd, data ? data : buffer, n * PAGE, t->start + first * PAGE) != (ssize_t)(n * PAGE)) return -1;
    first += n, count -= n;
    if (data) data += n * PAGE;
  }
  return 0;
}

int pages_load_main(int argc, char **argv) {
  if (argc != 4) return fail("usage: pages-load PID MEMFILE IN");
  struct mapping m;
  if (find_mapping(argv[1], argv[2], &m)) return 1;
  struct target t = {open_proc(argv[1], "mem", O_RDWR), m.start};
  if (t.fd < 0) return fail("cannot write the memory of %s: %s", argv[1], strerror(errno));
  memset(buffer, 0, sizeof buffer);
  return walk(argv[3], m.pages, store_pages, &t);
}

/* Copies only the extents that hold data, so a sparse file stays sparse. */
static int copy_sparse(int in, int out, uint64_t size) {
  if (ftruncate(out, size)) return -1;
  for (off_t at = 0; (at = lseek(in, at, SEEK_DATA)) >= 0;) {
    off_t end = lseek(in, at, SEEK_HOLE), to = at;
    while (at < end) {
      ssize_t n = copy_file_range(in, &at, out, &to, end - at, 0);
      if (n < 0) return -1;
      if (n == 0) break;
    }
    at = end;
  }
  return errno == ENXIO ? 0 : -1;
}

int pages_apply_main(int argc, char **argv) {
  if (argc != 4) return fail("usage: pages-apply BASE IN OUT");
  struct stat st;
  char temporary[4096];
  snprintf(temporary, sizeof temporary, "%s.part", argv[3]);
  int in = open(argv[1], O_RDONLY | O_CLOEXEC), out = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (in < 0 || out < 0 || fstat(in, &st)) return fail("cannot copy %s to %s: %s", argv[1], temporary, strerror(errno));
  if (ioctl(out, FICLONE, in) && copy_sparse(in, out, st.st_size))
    return fail("cannot copy %s to %s: %s", argv[1], temporary, strerror(errno));
  struct target t = {out, 0};
  memset(buffer, 0, sizeof buffer);
  if (walk(argv[2], st.st_size / PAGE, store_pages, &t)) return 1;
  if (fdatasync(out) || close(out) || rename(temporary, argv[3]))
    return fail("cannot finish %s: %s", argv[3], strerror(errno));
  return 0;
}
