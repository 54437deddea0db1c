/* The ctl port: dispatch of its requests, and the pump that moves bytes between processes and host. */
#ifndef CONTROL_H
#define CONTROL_H
#include "loop.h"
/* Runs the ctl loop for ever; `device` or `listen_path` as for port_open. Returns only when that failed. */
int control_run(const char *device, const char *listen_path, const char *cgroup_base, const unsigned char boot[16]);
#endif
