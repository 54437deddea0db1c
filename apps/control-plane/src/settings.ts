/** Every setting of the control plane, once: name, environment variable, type, default and help. */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { hostName } from '@aviary/surfaces/kit';
import { parseListen } from './listen.ts';

/** How a setting's text becomes its value. Throws a sentence when it cannot. */
type Parse<T> = (text: string) => T;

export interface Setting<T> {
  env: `AVIARY_${string}`;
  /** The value when the variable is absent or empty. */
  fallback: () => T;
  parse: Parse<T>;
  help: string;
  /** How the value is printed; hides what is secret. */
  show?: (value: T) => string;
}

const define = <T>(setting: Setting<T>): Setting<T> => setting;

const oneOf =
  <const T extends string>(...words: readonly T[]): Parse<T> =>
  (text) => {
    const found = words.find((word) => word === text);
    if (found === undefined) throw new Error(`must be one of ${words.join(', ')}`);
    return found;
  };
const yesNo: Parse<boolean> = (text) => {
  if (/^(1|true|yes|on)$/i.test(text)) return true;
  if (/^(0|false|no|off)$/i.test(text)) return false;
  throw new Error('must be yes or no');
};
const integer =
  (min: number, max: number): Parse<number> =>
  (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < min || value > max) {
      throw new Error(`must be a whole number from ${min} to ${max}`);
    }
    return value;
  };
const hops: Parse<number> = (text) => (/^\d+$/.test(text) ? integer(0, 16)(text) : yesNo(text) ? 1 : 0);
const hostNames: Parse<readonly string[]> = (text) =>
  text.split(',').map((part) => {
    const name = hostName(part.trim());
    if (name === null || part.includes(':'))
      throw new Error('must be names without ports, separated by commas');
    return name;
  });
const path: Parse<string> = (text) => {
  if (!text.startsWith('/')) throw new Error('must be an absolute path');
  return text.replace(/(.)\/+$/, '$1');
};

export const SETTINGS = {
  listen: define({
    env: 'AVIARY_LISTEN',
    fallback: () => parseListen('127.0.0.1:8080'),
    parse: parseListen,
    show: ({ text }) => text,
    help: 'address of the API and the console: host:port, [v6]:port, or :port for all addresses',
  }),
  data: define({
    env: 'AVIARY_DATA',
    fallback: () => (process.getuid?.() === 0 ? '/var/lib/aviary' : join(homedir(), '.local/share/aviary')),
    parse: path,
    help: 'state directory; one instance at a time uses it',
  }),
  databaseUrl: define<string | null>({
    env: 'AVIARY_DATABASE_URL',
    fallback: () => null,
    parse: (text) => {
      if (!/^postgres(ql)?:\/\//.test(text)) throw new Error('must be a postgres:// URL');
      return text;
    },
    show: (url) =>
      url?.replace(/\/\/([^:@/]*):[^@]*@/, '//$1:***@').replace(/([?&]password=)[^&]*/, '$1***') ??
      'a private PostgreSQL is supervised',
    help: 'PostgreSQL to use; absent: a private one is supervised in the state directory',
  }),
  objectStore: define({
    env: 'AVIARY_OBJECT_STORE',
    fallback: () => 'file:',
    parse: (text) => {
      if (text.startsWith('s3://')) {
        throw new Error('s3:// object stores are not in this version; leave it out to use files');
      }
      if (text !== 'file:') throw new Error('must be file:');
      return text;
    },
    help: 'where snapshots and backups go; file: is the state directory (s3:// comes in a later version)',
  }),
  log: define({
    env: 'AVIARY_LOG',
    fallback: () => 'info' as const,
    parse: oneOf('debug', 'info', 'warn', 'error', 'silent'),
    help: 'least level of log lines on stderr: debug, info, warn, error or silent',
  }),
  driver: define({
    env: 'AVIARY_DRIVER',
    fallback: () => 'qemu' as const,
    parse: oneOf('qemu', 'mock'),
    help: 'what capsules are: qemu (microVMs), or mock (pretended ones, to try the API anywhere)',
  }),
  cache: define<string | null>({
    env: 'AVIARY_CACHE',
    fallback: () => null,
    parse: path,
    show: (value) => value ?? 'the default cache directory',
    help: 'kernels, root file systems and built programs; may be emptied while nothing runs',
  }),
  pool: define({
    env: 'AVIARY_POOL',
    fallback: () => 8,
    parse: integer(0, 256),
    help: 'warm capsules kept ready per template and size; all together take a tenth of the memory at most; 0 turns the pool off',
  }),
  trustProxy: define({
    env: 'AVIARY_TRUST_PROXY',
    fallback: () => 0,
    parse: hops,
    show: (count) => (count === 0 ? 'no' : `${count} in front`),
    help: 'proxies in front whose X-Forwarded-For is believed: no, yes (one) or their number',
  }),
  hosts: define<readonly string[]>({
    env: 'AVIARY_HOSTS',
    fallback: () => [],
    parse: hostNames,
    show: (names) => names.join(',') || 'localhost and addresses; any name when others can connect',
    help: 'names this instance answers to (comma-separated), besides localhost and addresses',
  }),
  signup: define({
    env: 'AVIARY_SIGNUP',
    fallback: () => 'open' as const,
    parse: oneOf('open', 'first'),
    help: 'who may make an account: everybody who can connect (open), or only the first one (first)',
  }),
  metricsPublic: define({
    env: 'AVIARY_METRICS_PUBLIC',
    fallback: () => false,
    parse: yesNo,
    show: (open) => (open ? 'yes' : 'no'),
    help: 'answer /metrics to everybody; otherwise only to programs of this machine',
  }),
} as const;

export type SettingName = keyof typeof SETTINGS;
/** Name -> value type, derived from the table. */
export type Config = {
  [Name in SettingName]:
    | ReturnType<(typeof SETTINGS)[Name]['fallback']>
    | ReturnType<(typeof SETTINGS)[Name]['parse']>;
};
