import { expect, it } from 'vitest';
import { describeSettings, printConfig, readConfig, unknownSettings } from './config.ts';
import { acceptedHosts, localUrl, parseListen } from './listen.ts';

it.each([
  ['127.0.0.1:8080', '127.0.0.1', 8080, 'http://127.0.0.1:8080'],
  ['[::1]:81', '::1', 81, 'http://[::1]:81'],
  [':0', undefined, 0, 'http://127.0.0.1:0'],
  ['aviary.example:443', 'aviary.example', 443, 'http://aviary.example:443'],
  ['0.0.0.0:9', '0.0.0.0', 9, 'http://127.0.0.1:9'],
])('understands %s', (text, host, port, url) => {
  const address = parseListen(text);
  expect(address).toEqual({ host, port, text });
  expect(localUrl(address, port)).toBe(url);
});

it.each(['8080', 'host', '::1:80', '[::1]', 'a:b', 'a:99999', ''])('refuses the address %j', (text) => {
  expect(() => parseListen(text)).toThrow('host:port');
});

it('names every wrong variable at once', () => {
  const env = { AVIARY_LISTEN: 'nowhere', AVIARY_LOG: 'loud', AVIARY_OBJECT_STORE: 's3://bucket' };
  expect(() => readConfig(env)).toThrow(
    /AVIARY_LISTEN .*AVIARY_OBJECT_STORE .*not in this version.*AVIARY_LOG/,
  );
});

it('treats an empty variable as absent and says where values come from', () => {
  const env = { AVIARY_LOG: '', AVIARY_POOL: '7' };
  const text = printConfig(readConfig(env), env);
  expect(text).toMatch(/AVIARY_LOG +info +\(default\)/);
  expect(text).toMatch(/AVIARY_POOL +7 +\(environment\)/);
});

it('prints no password', () => {
  const env = { AVIARY_DATABASE_URL: 'postgres://me:hunter2@db/x?password=hunter2&sslmode=require' };
  const text = printConfig(readConfig(env), env);
  expect(text).not.toContain('hunter2');
  expect(text).toContain('postgres://me:***@db/x?password=***&sslmode=require');
});

it('finds misspelt variables', () => {
  expect(unknownSettings({ AVIARY_LISTN: 'x', AVIARY_LOG: 'info', PATH: '/bin' })).toEqual(['AVIARY_LISTN']);
});

it('describes every setting', () => {
  for (const name of [
    'AVIARY_LISTEN',
    'AVIARY_DATA',
    'AVIARY_DATABASE_URL',
    'AVIARY_OBJECT_STORE',
    'AVIARY_LOG',
  ]) {
    expect(describeSettings()).toContain(name);
  }
});

it.each([
  ['127.0.0.1:80', {}, []],
  ['[::1]:80', {}, []],
  ['localhost:80', {}, []],
  ['127.0.0.1:80', { AVIARY_HOSTS: 'A.example., b' }, ['a.example', 'b']],
  ['0.0.0.0:80', {}, null],
  [':80', { AVIARY_HOSTS: 'a.example' }, ['a.example']],
  ['127.0.0.1:80', { AVIARY_TRUST_PROXY: 'yes' }, null],
])('answers on %s with %j to the names %j', (listen, env, names) => {
  expect(acceptedHosts(readConfig({ AVIARY_LISTEN: listen, ...env }))).toEqual(names);
});

it('counts the proxies it believes', () => {
  const believed = (text: string) => readConfig({ AVIARY_TRUST_PROXY: text }).trustProxy;
  expect(['', 'no', 'yes', '2'].map(believed)).toEqual([0, 0, 1, 2]);
  expect(() => believed('10.0.0.1')).toThrow('AVIARY_TRUST_PROXY');
  expect(() => readConfig({ AVIARY_HOSTS: 'a:80' })).toThrow('without ports');
});
