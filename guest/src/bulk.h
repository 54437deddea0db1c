/* The bulk port: files, on a thread of its own, so that a slow disk never holds back commands. */
#ifndef BULK_H
#define BULK_H
/* Starts the thread; `device` or `listen_path` as for port_open. */
int bulk_start(const char *device, const char *listen_path, const unsigned char boot[16]);
#endif
