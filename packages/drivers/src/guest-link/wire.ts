/**
 * The numbers of guest/PROTOCOL.md: frame layout, frame types, field tags. Only guest-link uses them;
 * guest/src/wire.h is the guest's copy, and a test compares the two.
 */

export const PROTOCOL_VERSION = 1;

export const FRAME_MARK = 0xa5;
export const FRAME_HEADER = 16;
export const FRAME_TRAILER = 4;
export const FRAME_MAX_PAYLOAD = 65536;
/** Bytes of payload that the trailer covers. */
export const FRAME_CHECKED = 256;
export const FLAG_MORE = 1;
export const NONCE_SIZE = 16;
/** What a frame of OUTPUT or DATA costs of the window at least, so that tiny frames cannot fill the host. */
export const COST_MIN = 256;
export const INPUT_WINDOW = 256 << 10;
export const UPLOAD_WINDOW = 1 << 20;

export const T = {
  HELLO: 0x01,
  HELLO_ACK: 0x02,
  PING: 0x03,
  PONG: 0x04,
  RESTORE: 0x10,
  QUIESCE: 0x11,
  EXEC: 0x12,
  ATTACH: 0x13,
  PROCESSES: 0x14,
  KILL: 0x15,
  METRICS: 0x16,
  THAW: 0x17,
  READ: 0x20,
  WRITE: 0x21,
  STAT: 0x22,
  LIST: 0x23,
  MKDIR: 0x24,
  REMOVE: 0x25,
  MOVE: 0x26,
  OUTPUT: 0x30,
  EXIT: 0x31,
  INPUT: 0x32,
  INPUT_EOF: 0x33,
  INPUT_CLOSED: 0x34,
  RESIZE: 0x35,
  CREDIT: 0x36,
  DATA: 0x37,
  END: 0x38,
  CLOSE: 0x39,
  REPLY: 0x40,
  FAIL: 0x41,
} as const;

/** Channels of T.OUTPUT, in the flags byte. */
export const CHANNELS = { 1: 'stdout', 2: 'stderr', 3: 'pty' } as const;

export const F = {
  ARG: 1,
  ENV: 2,
  CWD: 3,
  USER: 4,
  TAG: 5,
  COLS: 6,
  ROWS: 7,
  STDIN: 8,
  BACKGROUND: 9,
  WINDOW: 10,
  PID: 11,
  SELECTOR: 12,
  FROM_OUT: 13,
  FROM_ERR: 14,
  SIGNAL: 15,
  PATH: 16,
  OFFSET: 17,
  LENGTH: 18,
  MODE: 19,
  DEPTH: 20,
  FILE: 21,
  TARGET: 22,
  ERRNO: 23,
  STAGE: 24,
  TEXT: 25,
  ENTROPY: 26,
  REALTIME: 27,
  HOSTNAME: 28,
  MACHINE_ID: 29,
  GENERATION: 30,
  GROW: 31,
  PROCESS: 32,
  CPU: 33,
  MEM_USED: 34,
  MEM_TOTAL: 35,
  DISK_USED: 36,
  DISK_TOTAL: 37,
  BUILD: 38,
  BOOT: 39,
  VERSION: 40,
  FREEZE: 41,
} as const;
