/** Files: the real agent on this machine. Numbers are the cases of the house's list. */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestAgent, type TestAgent } from './test-agent.ts';

let agent: TestAgent;
let dir: string;
let count = 0;
beforeAll(async () => {
  agent = await startTestAgent();
});
afterAll(() => agent?.stop());
beforeEach(() => {
  dir = `${agent.dir}/t${count++}`;
  mkdirSync(dir);
});

const code = (wanted: string) => expect.objectContaining({ code: wanted });

async function* chunks(...parts: (string | Uint8Array)[]): AsyncIterable<Uint8Array> {
  for (const part of parts) yield Buffer.from(part);
}

async function read(path: string, range?: { offset?: number; length?: number }): Promise<Buffer> {
  const { body } = await agent.link.readFile(path, range);
  const parts: Buffer[] = [];
  for await (const part of body) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

describe('writing', () => {
  test('makes parents and the file, and says what it made (83, 84, 87)', async () => {
    const file = await agent.link.writeFile(`${dir}/a/b/c.bin`, chunks('one', 'two', Buffer.from([0, 255])));
    expect(file).toMatchObject({
      name: 'c.bin',
      path: `${dir}/a/b/c.bin`,
      type: 'file',
      size: 8,
      mode: 0o644,
      owner: 'root',
    });
    expect(readFileSync(`${dir}/a/b/c.bin`)).toEqual(
      Buffer.concat([Buffer.from('onetwo'), Buffer.from([0, 255])]),
    );
    expect(lstatSync(`${dir}/a`).mode & 0o777).toBe(0o755);
    expect((await agent.link.writeFile(`${dir}/empty`, chunks())).size).toBe(0);
  });

  test('overwriting truncates and keeps mode and owner; a mode can be asked for; owner by name', async () => {
    writeFileSync(`${dir}/f`, 'long old content');
    chmodSync(`${dir}/f`, 0o751);
    chownSync(`${dir}/f`, 1, 1);
    expect(await agent.link.writeFile(`${dir}/f`, chunks('new'))).toMatchObject({
      size: 3,
      mode: 0o751,
      owner: 'daemon',
      group: 'daemon',
    });
    expect(await agent.link.writeFile(`${dir}/f`, chunks('new'), { mode: 0o600 })).toMatchObject({
      mode: 0o600,
    });
    expect(await agent.link.writeFile(`${dir}/n/g`, chunks('x'), { user: 'nobody' })).toMatchObject({
      owner: 'nobody',
    });
    expect(lstatSync(`${dir}/n`).uid).toBe(65534);
    await expect(agent.link.writeFile(`${dir}/h`, chunks('x'), { user: 'no-such-user' })).rejects.toThrow(
      'no such user',
    );
  });

  test('follows a link to its target, also one that is not there yet', async () => {
    writeFileSync(`${dir}/real`, 'old');
    symlinkSync('real', `${dir}/link`);
    symlinkSync('sub/later', `${dir}/dangling`);
    await agent.link.writeFile(`${dir}/link`, chunks('new'));
    await agent.link.writeFile(`${dir}/dangling`, chunks('late'));
    expect(readFileSync(`${dir}/real`, 'utf8')).toBe('new');
    expect(lstatSync(`${dir}/link`).isSymbolicLink()).toBe(true);
    expect(readFileSync(`${dir}/sub/later`, 'utf8')).toBe('late');
  });

  test('is refused onto directories, fifos, through files, round links (85)', async () => {
    execFileSync('mkfifo', [`${dir}/fifo`]);
    writeFileSync(`${dir}/file`, '');
    symlinkSync('loop', `${dir}/loop`);
    await expect(agent.link.writeFile(dir, chunks('x'))).rejects.toEqual(code('is_a_directory'));
    await expect(agent.link.writeFile(`${dir}/fifo`, chunks('x'))).rejects.toEqual(code('invalid_request'));
    await expect(agent.link.writeFile(`${dir}/file/x`, chunks('x'))).rejects.toEqual(code('not_a_directory'));
    await expect(agent.link.writeFile(`${dir}/loop`, chunks('x'))).rejects.toEqual(code('invalid_request'));
    await expect(agent.link.writeFile('', chunks('x'))).rejects.toEqual(code('invalid_request'));
    await expect(agent.link.writeFile('/tmp/\0', chunks('x'))).rejects.toEqual(code('invalid_request'));
  });

  test('is invisible until whole, and leaves nothing when the source fails (87)', async () => {
    async function* failing() {
      yield Buffer.alloc(300_000, 1);
      expect(readdirSync(dir)).toEqual([]);
      throw new Error('the client went away');
    }
    await expect(agent.link.writeFile(`${dir}/x`, failing())).rejects.toThrow('the client went away');
    await agent.link.stat(dir);
    expect(readdirSync(dir)).toEqual([]);
  });

  test('says when the disk is full', async () => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', dir]);
    try {
      const big = chunks(...Array.from({ length: 40 }, () => Buffer.alloc(65536)));
      await expect(agent.link.writeFile(`${dir}/big`, big)).rejects.toEqual(code('no_space'));
      expect(readdirSync(dir)).toEqual([]);
      await expect(agent.link.remove(dir)).rejects.toEqual(code('permission_denied'));
    } finally {
      execFileSync('umount', [dir]);
    }
  });
});

describe('reading', () => {
  test('whole, ranges, past the end', async () => {
    writeFileSync(`${dir}/f`, '0123456789');
    expect((await read(`${dir}/f`)).toString()).toBe('0123456789');
    expect((await read(`${dir}/f`, { offset: 3, length: 4 })).toString()).toBe('3456');
    expect((await read(`${dir}/f`, { offset: 100 })).length).toBe(0);
    expect((await read(`${dir}/f`, { length: 0 })).length).toBe(0);
  });

  test('of files that know no size (94), and never of what could block (85, 95)', async () => {
    expect((await read('/proc/cpuinfo')).toString()).toContain('processor');
    execFileSync('mkfifo', [`${dir}/fifo`]);
    await expect(agent.link.readFile(`${dir}/fifo`)).rejects.toEqual(code('invalid_request'));
    await expect(agent.link.readFile('/dev/zero')).rejects.toEqual(code('invalid_request'));
    await expect(agent.link.readFile(`${agent.dir}/ctl`)).rejects.toEqual(code('invalid_request'));
    await expect(agent.link.readFile(dir)).rejects.toEqual(code('is_a_directory'));
    await expect(agent.link.readFile(`${dir}/none`)).rejects.toEqual(code('file_not_found'));
  });

  test('is given up by destroying the body', async () => {
    const { body } = await agent.link.readFile('/proc/self/environ').then(
      () => agent.link.readFile('/bin/bash'),
      () => agent.link.readFile('/bin/bash'),
    );
    body.destroy();
    expect((await agent.link.stat('/bin/bash')).type).toBe('file');
  });

  test('16 transfers at once, each whole (97)', { timeout: 30_000 }, async () => {
    const files = Array.from({ length: 16 }, (_, i) => ({
      path: `${dir}/f${i}`,
      data: randomBytes(1_500_000 + i),
    }));
    await Promise.all(
      files.map(({ path, data }) =>
        agent.link.writeFile(path, chunks(data.subarray(0, 700_001), data.subarray(700_001))),
      ),
    );
    const hash = (data: Buffer) => createHash('sha256').update(data).digest('hex');
    const back = await Promise.all(files.map(({ path }) => read(path)));
    expect(back.map(hash)).toEqual(files.map(({ data }) => hash(data)));
  });

  test('a reader that stops reading holds back nobody', async () => {
    writeFileSync(`${dir}/big`, Buffer.alloc(8 << 20));
    const { body } = await agent.link.readFile(`${dir}/big`);
    expect((await read(`${dir}/big`)).length).toBe(8 << 20);
    let size = 0;
    for await (const part of body) size += (part as Buffer).length;
    expect(size).toBe(8 << 20);
  });
});

describe('directories', () => {
  test('are listed by depth, sorted by path, with every field (88, 89)', async () => {
    mkdirSync(`${dir}/b/c/d`, { recursive: true });
    writeFileSync(`${dir}/a`, 'xyz');
    symlinkSync('a', `${dir}/z`);
    const paths = async (depth: number) =>
      (await agent.link.list(dir, depth)).map((file) => file.path.slice(dir.length));
    expect(await paths(0)).toEqual(['/a', '/b', '/z']);
    expect(await paths(1)).toEqual(['/a', '/b', '/z']);
    expect(await paths(2)).toEqual(['/a', '/b', '/b/c', '/z']);
    expect(await paths(9)).toEqual(['/a', '/b', '/b/c', '/b/c/d', '/z']);
    const list = await agent.link.list(dir, 1);
    expect(list[0]).toEqual({
      name: 'a',
      path: `${dir}/a`,
      type: 'file',
      size: 3,
      mode: 0o644,
      owner: 'root',
      group: 'root',
      modifiedAt: Math.floor(lstatSync(`${dir}/a`).mtimeMs / 1000),
      symlinkTarget: null,
    });
    expect(list[2]).toMatchObject({ type: 'symlink', symlinkTarget: 'a' });
    expect((await agent.link.list('/', 1)).map((file) => file.path)).toContain('/proc');
  });

  test('through a link keep its name; files and rings are refused (90)', async () => {
    mkdirSync(`${dir}/real`);
    writeFileSync(`${dir}/real/x`, '');
    symlinkSync('real', `${dir}/link`);
    symlinkSync('real', `${dir}/real/inner`);
    symlinkSync('ring', `${dir}/ring`);
    expect((await agent.link.list(`${dir}/link`, 5)).map((file) => file.path.slice(dir.length))).toEqual([
      '/link/inner',
      '/link/x',
    ]);
    await expect(agent.link.list(`${dir}/real/x`, 1)).rejects.toEqual(code('not_a_directory'));
    await expect(agent.link.list(`${dir}/ring`, 1)).rejects.toEqual(code('invalid_request'));
    await expect(agent.link.list(`${dir}/none`, 1)).rejects.toEqual(code('file_not_found'));
  });

  test('odd names come through (96)', async () => {
    const names = ['a b', 'new\nline', 'ünïcödé ☃', '-rf', 'x'.repeat(255), ' '];
    for (const name of names) await agent.link.writeFile(`${dir}/${name}`, chunks(name));
    writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0xff, 0xfe])]), '');
    const listed = (await agent.link.list(dir, 1)).map((file) => file.name);
    expect(listed.sort()).toEqual([...names, '\ufffd\ufffd'].sort());
    for (const name of names) expect((await read(`${dir}/${name}`)).toString()).toBe(name);
    await expect(agent.link.writeFile(`${dir}/${'x'.repeat(256)}`, chunks('x'))).rejects.toEqual(
      code('invalid_request'),
    );
  });

  test('are made with parents; what exists is said (91)', async () => {
    expect(await agent.link.mkdir(`${dir}/p/q//r/`)).toMatchObject({
      path: `${dir}/p/q/r`,
      type: 'directory',
      mode: 0o755,
    });
    await expect(agent.link.mkdir(`${dir}/p`)).rejects.toEqual(code('file_exists'));
    writeFileSync(`${dir}/f`, '');
    await expect(agent.link.mkdir(`${dir}/f/g`)).rejects.toEqual(code('not_a_directory'));
  });

  test('are removed as trees, without following links (92)', async () => {
    mkdirSync(`${dir}/tree/a/b`, { recursive: true });
    mkdirSync(`${dir}/keep`);
    writeFileSync(`${dir}/keep/f`, '');
    symlinkSync('../keep', `${dir}/tree/link`);
    writeFileSync(`${dir}/tree/a/b/f`, '');
    await agent.link.remove(`${dir}/tree`);
    expect([existsSync(`${dir}/tree`), existsSync(`${dir}/keep/f`)]).toEqual([false, true]);
    await expect(agent.link.remove(`${dir}/tree`)).rejects.toEqual(code('file_not_found'));
    for (const path of ['/', '/proc', '/sys', '/dev', '/.', '//', '/tmp/..', `${dir}/..`]) {
      await expect(agent.link.remove(path)).rejects.toEqual(code('permission_denied'));
    }
  });

  test('deep trees are listed as far as paths go, and removed whole', { timeout: 60_000 }, async () => {
    const script = 'for (let i = 0; i < 3000; i++) { fs.mkdirSync("d"); process.chdir("d"); }';
    execFileSync(process.execPath, ['-e', script], { cwd: dir });
    expect((await agent.link.list(dir, 5000)).length).toBeGreaterThan(1900);
    await agent.link.remove(`${dir}/d`);
    expect(readdirSync(dir)).toEqual([]);
  });

  test('move renames, makes parents, replaces', async () => {
    writeFileSync(`${dir}/a`, '1');
    expect(await agent.link.move(`${dir}/a`, `${dir}/x/y`)).toMatchObject({ path: `${dir}/x/y`, size: 1 });
    await expect(agent.link.move(`${dir}/a`, `${dir}/b`)).rejects.toEqual(code('file_not_found'));
    await expect(agent.link.move('/', `${dir}/b`)).rejects.toEqual(code('permission_denied'));
  });

  test('relative paths and ~ are below the home (93)', async () => {
    expect((await agent.link.stat('~')).path).toBe('/root');
    expect((await agent.link.stat('~/.')).path).toBe('/root');
    expect((await agent.link.stat('.')).path).toBe('/root');
    await expect(agent.link.stat('no-such-file-of-mine')).rejects.toThrow('/root/no-such-file-of-mine');
  });
});
