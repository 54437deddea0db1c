/* See identity.h. */
#include "identity.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct identity identity;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char user[64] = "root";
static char *none[] = {NULL};
static char **envs = none;

void identity_user(char *out, unsigned size) {
  pthread_mutex_lock(&lock);
  snprintf(out, size, "%s", user);
  pthread_mutex_unlock(&lock);
}

void identity_set_user(const char *name) {
  pthread_mutex_lock(&lock);
  snprintf(user, sizeof user, "%s", name);
  pthread_mutex_unlock(&lock);
}

char **identity_envs(void) { return envs; }

void identity_set_envs(char **next) {
  if (envs != none) {
    for (char **e = envs; *e; e++) free(*e);
    free(envs);
  }
  envs = next;
}
