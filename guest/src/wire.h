/* The numbers of PROTOCOL.md: frame layout, frame types, field tags. Used by every part of the agent;
 * packages/drivers/src/guest-link/wire.ts is the host's copy. */
#ifndef WIRE_H
#define WIRE_H
#include <stdint.h>

#define PROTOCOL_VERSION 1u

#define FRAME_MARK 0xA5u
#define FRAME_HEADER 16u
#define FRAME_TRAILER 4u
#define FRAME_MAX_PAYLOAD 65536u
#define FRAME_MAX (FRAME_HEADER + FRAME_MAX_PAYLOAD + FRAME_TRAILER)
#define FRAME_CHECKED 256u /* bytes of payload covered by the trailer */
#define FLAG_MORE 0x01u    /* the message goes on in the next frame of the same stream and type */
#define NONCE_SIZE 16u
#define COST_MIN 256u /* what a frame of OUTPUT or DATA costs of the window at least */

#define REQUEST_MAX (4u << 20) /* largest request over several frames; more is E2BIG */
#define INPUT_WINDOW (256u << 10)
#define UPLOAD_WINDOW (1u << 20)

enum frame_type {
  T_HELLO = 0x01,
  T_HELLO_ACK = 0x02,
  T_PING = 0x03,
  T_PONG = 0x04,
  /* requests on ctl */
  T_RESTORE = 0x10,
  T_QUIESCE = 0x11,
  T_EXEC = 0x12,
  T_ATTACH = 0x13,
  T_PROCESSES = 0x14,
  T_KILL = 0x15,
  T_METRICS = 0x16,
  T_THAW = 0x17,
  /* requests on bulk */
  T_READ = 0x20,
  T_WRITE = 0x21,
  T_STAT = 0x22,
  T_LIST = 0x23,
  T_MKDIR = 0x24,
  T_REMOVE = 0x25,
  T_MOVE = 0x26,
  /* inside a stream */
  T_OUTPUT = 0x30,
  T_EXIT = 0x31,
  T_INPUT = 0x32,
  T_INPUT_EOF = 0x33,
  T_INPUT_CLOSED = 0x34,
  T_RESIZE = 0x35,
  T_CREDIT = 0x36,
  T_DATA = 0x37,
  T_END = 0x38,
  T_CLOSE = 0x39,
  /* answers */
  T_REPLY = 0x40,
  T_FAIL = 0x41,
};

/* Channels of T_OUTPUT, carried in the flags byte. */
enum channel { CH_STDOUT = 1, CH_STDERR = 2, CH_PTY = 3 };

enum field_tag {
  F_ARG = 1,
  F_ENV = 2,
  F_CWD = 3,
  F_USER = 4,
  F_TAG = 5,
  F_COLS = 6,
  F_ROWS = 7,
  F_STDIN = 8,
  F_BACKGROUND = 9,
  F_WINDOW = 10,
  F_PID = 11,
  F_SELECTOR = 12,
  F_FROM_OUT = 13,
  F_FROM_ERR = 14,
  F_SIGNAL = 15,
  F_PATH = 16,
  F_OFFSET = 17,
  F_LENGTH = 18,
  F_MODE = 19,
  F_DEPTH = 20,
  F_FILE = 21,
  F_TARGET = 22,
  F_ERRNO = 23,
  F_STAGE = 24,
  F_TEXT = 25,
  F_ENTROPY = 26,
  F_REALTIME = 27,
  F_HOSTNAME = 28,
  F_MACHINE_ID = 29,
  F_GENERATION = 30,
  F_GROW = 31,
  F_PROCESS = 32,
  F_CPU = 33,
  F_MEM_USED = 34,
  F_MEM_TOTAL = 35,
  F_DISK_USED = 36,
  F_DISK_TOTAL = 37,
  F_BUILD = 38,
  F_BOOT = 39,
  F_VERSION = 40,
  F_FREEZE = 41,
};
#endif
