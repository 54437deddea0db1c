/* File records: what lstat says, as the bytes of PROTOCOL.md's "file record". */
#ifndef ENTRY_H
#define ENTRY_H
#include <sys/stat.h>
#include "tlv.h"
#include "users.h"

/* Appends the record of `path` (whose lstat is `st`) as a field F_FILE. */
void entry_put(struct builder *b, struct userdb *users, const char *path, const struct stat *st);
/* lstat and entry_put; 0 or errno. */
int entry_stat(struct builder *b, struct userdb *users, const char *path);
#endif
