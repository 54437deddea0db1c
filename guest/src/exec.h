/* Starts what an EXEC request describes and answers it. */
#ifndef EXEC_H
#define EXEC_H
#include <stddef.h>
#include <stdint.h>
#include "port.h"
void exec_start(struct port *port, uint32_t stream, const uint8_t *data, size_t size);
#endif
