/* Shared by the parts of aviary-host. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Prints one line on stderr; always 1, the exit status. */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

int jail_main(int argc, char **argv);
int pages_dump_main(int argc, char **argv);
int pages_load_main(int argc, char **argv);
int pages_apply_main(int argc, char **argv);
