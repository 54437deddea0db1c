/* Users and groups from /etc/passwd and /etc/group, read by hand: a static glibc has no NSS. Each thread has its own. */
#ifndef USERS_H
#define USERS_H
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#define USER_GROUPS_MAX 64

struct text_file { /* a file's text, read again only when its inode, size or mtime changed */
  const char *path;
  char *text;
  struct stat seen;
};
struct userdb {
  struct text_file passwd, group;
};
struct user {
  uid_t uid;
  gid_t gid;
  char name[64], home[256], shell[128];
  gid_t groups[USER_GROUPS_MAX];
  int ngroups;
};

void userdb_init(struct userdb *db);
/* By name, or by number when all digits. 0, or -1 when there is no such user. root exists always. */
int user_find(struct userdb *db, const char *name, struct user *out);
/* Supplementary groups as initgroups(3) would set them. */
void user_groups(struct userdb *db, struct user *u);
/* Names for ids; the number when the id has no name. */
void user_name(struct userdb *db, uid_t uid, char *out, size_t size);
void group_name(struct userdb *db, gid_t gid, char *out, size_t size);
#endif
