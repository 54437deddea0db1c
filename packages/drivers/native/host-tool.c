/*
 * aviary-host: what a host must do that Node cannot: confine a process (jail.c) and copy the private pages
 * of a stopped machine out and in (pages.c). One static binary, run by the QEMU driver as root.
 */
#include "host-tool.h"

int fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fputc('\n', stderr);
  return 1;
}

int main(int argc, char **argv) {
  if (argc >= 2) {
    if (!strcmp(argv[1], "jail")) return jail_main(argc - 1, argv + 1);
    if (!strcmp(argv[1], "pages-dump")) return pages_dump_main(argc - 1, argv + 1);
    if (!strcmp(argv[1], "pages-load")) return pages_load_main(argc - 1, argv + 1);
    if (!strcmp(argv[1], "pages-apply")) return pages_apply_main(argc - 1, argv + 1);
  }
  return fail("usage: aviary-host jail|pages-dump|pages-load|pages-apply ...");
}
