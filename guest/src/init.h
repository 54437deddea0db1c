/* pid 1 of a capsule: modules, mounts, network, then the two ports. */
#ifndef INIT_H
#define INIT_H
_Noreturn void init_run(void);
#endif
