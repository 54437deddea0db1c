/* Answers RESTORE: makes a clone itself - random numbers, clock, names, generation, size of its disk. ctl thread only. */
#ifndef RESTORE_H
#define RESTORE_H
#include <stddef.h>
#include "port.h"
void restore_apply(struct port *port, uint32_t stream, const uint8_t *data, size_t size);
/* At boot: opens what RESTORE needs later and binds the per-clone files over the shared ones. */
void restore_prepare(void);
#endif
