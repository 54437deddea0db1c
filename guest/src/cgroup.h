/* One cgroup v2 directory per process tree, so that a kill reaches daemonised and disowned children too.
 * Directories are reused, so a start costs no mkdir. ctl thread only. */
#ifndef CGROUP_H
#define CGROUP_H
#include <stdbool.h>

/* `base` is a directory of a cgroup2 mount, created when missing. Without one every call says "no cgroup". */
void cgroup_init(const char *base);
/* A slot for a new tree, or -1. */
int cgroup_take(void);
/* The directory's descriptor for CLONE_INTO_CGROUP. */
int cgroup_fd(int slot);
bool cgroup_populated(int slot);
/* Sends the signal to every process of the tree; returns how many there were, -1 without cgroup. */
int cgroup_signal(int slot, int signal);
/* The tree is empty: the slot may be taken again. */
void cgroup_release(int slot);
/* Stops or lets go all user processes at once. True when they all stand still (or go again), or without cgroups. */
bool cgroup_freeze(bool frozen);
/* Has an empty directory ready, so that the next start does not have to wait for it. */
void cgroup_prepare(void);
#endif
