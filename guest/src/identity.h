/* Who the capsule is: default user and environment. Set by RESTORE on the ctl thread, read by both threads. */
#ifndef IDENTITY_H
#define IDENTITY_H
#include <stdbool.h>

struct identity {
  bool init;         /* this is pid 1 of a capsule, not a test on a host */
  const char *run;   /* directory for generation and the like: /run/aviary, or the test directory */
};
extern struct identity identity;

/* Copies the default user's name. */
void identity_user(char *out, unsigned size);
void identity_set_user(const char *name);
/* Default environment as "K=V" strings, NULL-terminated; only the ctl thread may use it. */
char **identity_envs(void);
/* Takes the strings over. */
void identity_set_envs(char **envs);
#endif
