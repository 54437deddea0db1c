/* Walks over directory trees (LIST, REMOVE) on short-lived threads: they may take seconds, and transfers go on. */
#ifndef JOB_H
#define JOB_H
#include <stdbool.h>
#include <stdint.h>
#include "loop.h"
#include "tlv.h"

#define LIST_ENTRIES_MAX 100000
#define LIST_BYTES_MAX (24u << 20)

struct job {
  struct job *next;
  uint32_t stream, epoch;
  uint8_t type; /* T_LIST or T_REMOVE */
  char *path;
  uint32_t depth;
  /* result */
  int err;
  uint32_t entries;
  struct builder data;
};

/* `done` is called on the loop's thread for every finished job and frees it with job_free. */
int job_init(struct loop *loop, void (*done)(struct job *));
/* Starts it, or queues it when four run already. Takes the job over. */
void job_start(struct job *job);
void job_free(struct job *job);
#endif
