/* Answers METRICS: CPU since the previous question, memory, the root file system. ctl thread only. */
#ifndef METRICS_H
#define METRICS_H
#include "port.h"
void metrics_send(struct port *port, uint32_t stream);
#endif
