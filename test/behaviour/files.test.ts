/** Files: cases 83-97 of the behaviour reference (98 has no route yet), through HTTP in a real microVM. */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Box, Failure, FileEntry } from '../support/api.ts';
import { type Product, startProduct } from '../support/product.ts';

let product: Product;
let box: Box;
beforeAll(async () => {
  product = await startProduct();
  box = product.api.capsule((await product.api.create()).id);
});
afterAll(() => product?.close());

const MB = 1024 * 1024;
const sha = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');
const list = async (path: string, depth?: number) => {
  const { body } = await box.files('list', { path, ...(depth === undefined ? {} : { depth }) });
  return body.entries;
};
const refusal = async (verb: 'list' | 'mkdir' | 'remove', body: object) =>
  (await box.files<Failure>(verb, body)).status;
const rss = () =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${product.pid}/status`, 'utf8'))?.[1]) / 1024;

describe('files', () => {
  it('case 83: text and bytes come back exactly; empty ones too; a shorter one truncates', async () => {
    for (const content of ['text ü\n', '', randomBytes(70_001), new Uint8Array(256).map((_, i) => i)]) {
      for (const [write, read] of [
        ['write', 'read'],
        ['stream/write', 'stream/read'],
      ] as const) {
        expect((await box.write('/tmp/f83', content, write)).status).toBe(204);
        const { status, bytes } = await box.readFile('/tmp/f83', read);
        expect(status).toBe(200);
        expect(bytes.equals(Buffer.from(content as string))).toBe(true);
      }
    }
  });

  it('case 84: parents are made (0755), the file is 0644, all of the default user', async () => {
    expect((await box.write('/srv/a/b/c.txt', 'x')).status).toBe(204);
    expect(await box.sh("stat -c '%a %U:%G %n' /srv/a /srv/a/b /srv/a/b/c.txt")).toBe(
      '755 root:root /srv/a\n755 root:root /srv/a/b\n644 root:root /srv/a/b/c.txt\n',
    );
    const other = product.api.capsule((await product.api.create({ user: 'user' })).id);
    expect((await other.write('new/c.txt', 'x')).status).toBe(204);
    expect(await other.sh("id -un; stat -c '%a %U:%G %n' /home/user/new /home/user/new/c.txt")).toBe(
      'user\n755 user:user /home/user/new\n644 user:user /home/user/new/c.txt\n',
    );
    // the routes themselves work as root: docs/capsules.md
    expect((await other.write('/root/of-root', 'x')).status).toBe(204);
    expect((await other.readFile('/etc/shadow')).status).toBe(200);
    await other.destroy();
  });

  it('case 85: a missing file is 404, a directory 400, in both directions', async () => {
    for (const route of ['read', 'stream/read'] as const) {
      expect((await box.readFile('/no/such', route)).status).toBe(404);
      expect((await box.readFile('/etc', route)).status).toBe(400);
    }
    for (const route of ['write', 'stream/write'] as const) {
      expect((await box.write('/etc', 'x', route)).status).toBe(400);
      expect((await box.write('/etc/passwd/x', 'x', route)).status).toBe(400);
    }
  });

  it('case 86: over 100 MB is 413 on the buffered route; the streaming one takes 300 MB with flat memory', async () => {
    // announced, and refused before a byte of it is read
    const status = await new Promise((resolve, reject) => {
      const upload = request(`${product.url}${box.path}/files/write`, {
        method: 'POST',
        headers: {
          'content-type': 'multipart/form-data; boundary=b',
          'content-length': 101 * MB,
          'x-api-key': product.key,
        },
      });
      upload.on('response', (response) => resolve(response.statusCode)).on('error', reject);
      upload.flushHeaders();
    });
    expect(status).toBe(413);
    const piece = randomBytes(MB);
    const head =
      '--b\r\ncontent-disposition: form-data; name="path"\r\n\r\n/tmp/big\r\n--b\r\ncontent-disposition: form-data; name="file"; filename="f"\r\n\r\n';
    async function* body(pieces: number) {
      yield Buffer.from(head);
      for (let n = 0; n < pieces; n++) yield piece;
      yield Buffer.from('\r\n--b--\r\n');
    }
    const upload = (route: string, pieces: number) =>
      product.api.raw(`${box.path}/files/${route}`, {
        method: 'POST',
        headers: { 'content-type': 'multipart/form-data; boundary=b' },
        body: ReadableStream.from(body(pieces)),
        duplex: 'half',
      } as RequestInit);
    // not announced: noticed on the way
    expect((await upload('write', 101)).status).toBe(413);
    expect((await box.readFile('/tmp/big')).status).toBe(404);
    const before = rss();
    expect((await upload('stream/write', 300)).status).toBe(204);
    expect(await box.sh('stat -c %s /tmp/big')).toBe(`${300 * MB}\n`);
    const hash = createHash('sha256');
    for (let n = 0; n < 300; n++) hash.update(piece);
    const sum = hash.digest('hex');
    const download = await product.api.raw(`${box.path}/files/stream/read`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ path: '/tmp/big' }),
    });
    const received = createHash('sha256');
    for await (const chunk of download.body as unknown as AsyncIterable<Uint8Array>) received.update(chunk);
    expect(received.digest('hex')).toBe(sum);
    expect(rss() - before).toBeLessThan(150);
    await box.sh('rm /tmp/big');
  });

  it('case 87: pieces are joined; an upload that is cut off leaves the old file and nothing else', async () => {
    await box.write('/srv/cut/f', 'old');
    const upload = request(`${product.url}${box.path}/files/stream/write`, {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=b', 'x-api-key': product.key },
    });
    const failed = new Promise((resolve) => upload.on('error', resolve));
    upload.write('--b\r\ncontent-disposition: form-data; name="path"\r\n\r\n/srv/cut/f\r\n--b\r\n');
    upload.write('content-disposition: form-data; name="file"; filename="f"\r\n\r\n');
    upload.write(Buffer.alloc(3 * MB, 'x'));
    // under way it is a file without a name, which only its writer has
    const open = () => box.sh('ls -l /proc/1/fd | grep -c "/srv/cut/.*(deleted)" || true');
    await expect.poll(open).toBe('1\n');
    expect((await list('/srv/cut')).length).toBe(1);
    expect((await box.readFile('/srv/cut/f')).bytes.toString()).toBe('old');
    upload.destroy(new Error('gone'));
    await failed;
    await expect.poll(open).toBe('0\n');
    expect((await list('/srv/cut')).length).toBe(1);
    expect((await box.readFile('/srv/cut/f')).bytes.toString()).toBe('old');
  });

  it('cases 88 and 89: depth, order, and every field of an entry', async () => {
    await box.sh(
      'mkdir -p /srv/t/b/deep/er /srv/t/a; echo 12345 > /srv/t/c; chown user:user /srv/t/c; chmod 4755 /srv/t/c; touch -d @1700000000 /srv/t/c; ln -s c /srv/t/link; touch /srv/t/b/x',
    );
    const names = async (depth?: number) => (await list('/srv/t', depth)).map(({ path }) => path.slice(7));
    expect(await names()).toEqual(['a', 'b', 'c', 'link']);
    expect(await names(0)).toEqual(['a', 'b', 'c', 'link']);
    expect(await names(1)).toEqual(['a', 'b', 'c', 'link']);
    expect(await names(2)).toEqual(['a', 'b', 'b/deep', 'b/x', 'c', 'link']);
    expect(await names(3)).toEqual(['a', 'b', 'b/deep', 'b/deep/er', 'b/x', 'c', 'link']);
    expect(await names(64)).toEqual(await names(3));
    for (const depth of [-1, 65, 1.5]) expect(await refusal('list', { path: '/', depth })).toBe(400);
    const entries = await list('/srv/t');
    expect(entries.find(({ name }) => name === 'c')).toEqual({
      name: 'c',
      path: '/srv/t/c',
      type: 'file',
      size: 6,
      mode: 0o4755,
      permissions: '-rwsr-xr-x',
      owner: 'user',
      group: 'user',
      modified_at: 1_700_000_000,
      symlink_target: null,
    } satisfies FileEntry);
    expect(entries.find(({ name }) => name === 'a')).toMatchObject({
      type: 'directory',
      permissions: 'drwxr-xr-x',
    });
    expect(entries.find(({ name }) => name === 'link')).toMatchObject({
      type: 'symlink',
      symlink_target: 'c',
    });
  });

  it('case 90: a link to a directory is listed inside; files, circles and missing ones are refused', async () => {
    await box.sh(
      'mkdir -p /srv/l/real/in; touch /srv/l/real/f; ln -s real /srv/l/to; ln -s x /srv/l/y; ln -s y /srv/l/x; ln -s .. /srv/l/real/up',
    );
    expect((await list('/srv/l/to')).map(({ path }) => path)).toEqual([
      '/srv/l/to/f',
      '/srv/l/to/in',
      '/srv/l/to/up',
    ]);
    // nested links are shown, not followed
    expect((await list('/srv/l/real', 5)).map(({ path }) => path)).toEqual([
      '/srv/l/real/f',
      '/srv/l/real/in',
      '/srv/l/real/up',
    ]);
    const file = await box.files<Failure>('list', { path: '/srv/l/real/f' });
    expect([file.status, file.body.error.message]).toEqual([400, expect.stringMatching(/not a directory/i)]);
    expect([400, 409]).toContain(await refusal('list', { path: '/srv/l/x' }));
    expect(await refusal('list', { path: '/no/such' })).toBe(404);
  });

  it('case 91: mkdir makes parents and answers the entry; an existing one is 409', async () => {
    const { status, body } = await box.files<{ entry: FileEntry }>('mkdir', { path: '/srv/m/n/o' });
    expect([status, body.entry]).toMatchObject([200, { path: '/srv/m/n/o', type: 'directory', mode: 0o755 }]);
    expect(await refusal('mkdir', { path: '/srv/m/n' })).toBe(409);
    await box.sh('touch /srv/m/f');
    expect(await refusal('mkdir', { path: '/srv/m/f' })).toBe(409);
    expect(await refusal('mkdir', { path: '/srv/m/f/x' })).toBe(400);
  });

  it('case 92: remove takes files, trees and links themselves; missing is 404, the root is refused', async () => {
    await box.sh(
      'mkdir -p /srv/r/a/b; touch /srv/r/a/f /srv/kept; ln -s /srv/kept /srv/r/link; ln -s /srv /srv/r/dir',
    );
    expect((await box.files('remove', { path: '/srv/r/link' })).status).toBe(204);
    expect((await box.files('remove', { path: '/srv/r/a/f' })).status).toBe(204);
    expect((await box.files('remove', { path: '/srv/r' })).status).toBe(204);
    expect(await refusal('remove', { path: '/srv/r' })).toBe(404);
    expect((await box.readFile('/srv/kept')).status).toBe(200);
    for (const path of ['/', '//', '/.', '/..', '/srv/../..', '/proc', '/sys', '/dev']) {
      expect([path, await refusal('remove', { path })]).toEqual([path, 403]);
    }
    expect(await box.sh('ls / | wc -l')).not.toBe('0\n');
  });

  it('case 93: relative paths and ~ are below the home', async () => {
    expect((await box.write('rel/f', 'relative')).status).toBe(204);
    expect((await box.write('~/tilde', 'tilde')).status).toBe(204);
    expect(await box.sh('cat /root/rel/f /root/tilde')).toBe('relativetilde');
    expect((await box.readFile('~/rel/f')).bytes.toString()).toBe('relative');
    expect((await list('~')).map(({ path }) => path)).toContain('/root/tilde');
  });

  it('case 94: files of /proc are read though they say 0 bytes', async () => {
    for (const route of ['read', 'stream/read'] as const) {
      expect((await box.readFile('/proc/cpuinfo', route)).bytes.toString()).toContain('processor');
    }
  });

  it('case 95: fifos and devices are refused instead of waited for', async () => {
    await box.sh('mkfifo /tmp/fifo');
    for (const path of ['/tmp/fifo', '/dev/zero', '/dev/null', '/dev/tty']) {
      expect([path, (await box.readFile(path)).status]).toEqual([path, 400]);
    }
  });

  it('case 96: any name that Linux allows', async () => {
    const names = [
      ' spaces in  it ',
      'grüße 🦜',
      'new\nline',
      'quote"s\'',
      '-rf',
      '$(id)',
      'é'.repeat(127),
      'x'.repeat(255),
      '%2e%2e',
      '\\',
    ];
    for (const name of names) {
      expect([name, (await box.write(`/srv/names/${name}`, name)).status]).toEqual([name, 204]);
      expect((await box.readFile(`/srv/names/${name}`)).bytes.toString()).toBe(name);
    }
    expect((await list('/srv/names')).map(({ name }) => name).sort()).toEqual([...names].sort());
    for (const name of names)
      expect((await box.files('remove', { path: `/srv/names/${name}` })).status).toBe(204);
    expect((await box.write(`/srv/names/${'x'.repeat(256)}`, '')).status).toBe(400);
  });

  it('case 97: ten uploads at once are all whole', async () => {
    const contents = Array.from({ length: 10 }, () => randomBytes(2 * MB));
    const answers = await Promise.all(contents.map((content, i) => box.write(`/srv/ten/${i}`, content)));
    expect(answers.map(({ status }) => status)).toEqual(contents.map(() => 204));
    const sums = await box.sh('cd /srv/ten && sha256sum 0 1 2 3 4 5 6 7 8 9 | cut -d" " -f1');
    expect(sums.trim().split('\n')).toEqual(contents.map(sha));
    const back = await Promise.all(contents.map((_, i) => box.readFile(`/srv/ten/${i}`)));
    expect(back.map(({ bytes }) => sha(bytes))).toEqual(contents.map(sha));
  });

  it('stays inside: dots lead nowhere but up to the root of the capsule', async () => {
    await box.write('/../../../../../../tmp/../tmp/dots', 'inside');
    expect(await box.sh('cat /tmp/dots')).toBe('inside');
    const host = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8');
    const seen = await box.readFile('/../../../../proc/sys/kernel/random/boot_id');
    expect(seen.bytes.toString()).not.toBe(host);
    for (const path of ['', 'a\u0000b', '/tmp/\u0000', '/x'.repeat(3000), 'x'.repeat(1_000_000)]) {
      expect(await refusal('list', { path })).toBe(400);
      expect(await refusal('mkdir', { path })).toBe(400);
      expect(await refusal('remove', { path })).toBe(400);
      expect((await box.readFile(path)).status).toBe(400);
      expect((await box.write(path, 'x')).status).toBe(400);
    }
  });
});
