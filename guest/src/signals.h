/* Answers KILL: signals the whole tree a process started. ctl thread only. */
#ifndef SIGNALS_H
#define SIGNALS_H
#include <stddef.h>
#include "port.h"
void signals_send(struct port *port, uint32_t stream, const uint8_t *data, size_t size);
#endif
