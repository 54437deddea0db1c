/** Files: the cases of the wrenn contract. */
import { randomBytes } from 'node:crypto';
import { beforeAll, expect, it } from 'vitest';
import type { Scene } from './scene.ts';

type Parts = [name: string, value: string | Buffer][];

export function fileCases(scene: Scene): void {
  const call: Scene['client']['call'] = (...args) => scene.client.call(...args);
  const as = () => ({ key: scene.key });
  let id: string;
  let paused: string;
  const upload = async (operation: 'uploadFile' | 'streamUploadFile', parts: Parts, capsule = id) => {
    const form = new FormData();
    for (const [name, value] of parts) {
      form.append(name, typeof value === 'string' ? value : new Blob([new Uint8Array(value)]));
    }
    return (await call(operation, { params: { id: capsule }, form, as: as() })).status;
  };
  const post = (operation: string, body: object, capsule = id) =>
    call<{ entries: { path: string }[] }>(operation, { params: { id: capsule }, body, as: as() });

  beforeAll(async () => {
    const make = async () => (await call<{ id: string }>('createCapsule', { body: {}, as: as() })).body.id;
    [id, paused] = [await make(), await make()];
    await call('pauseCapsule', { params: { id: paused }, as: as() });
  });

  it.each(['uploadFile', 'streamUploadFile'] as const)('%s keeps every byte', async (operation) => {
    const bytes = randomBytes(300_000);
    for (const content of [bytes, Buffer.alloc(0), Buffer.from('shorter')]) {
      expect(
        await upload(operation, [
          ['path', '/data/deep/f'],
          ['file', content],
        ]),
      ).toBe(204);
      for (const read of ['downloadFile', 'streamDownloadFile']) {
        const answer = await post(read, { path: '/data/deep/f' });
        expect([answer.status, answer.headers.get('content-type')]).toEqual([
          200,
          'application/octet-stream',
        ]);
        expect(answer.bytes.equals(content)).toBe(true);
      }
    }
    expect(
      await upload(operation, [
        ['file', bytes],
        ['path', '/data/late'],
      ]),
    ).toBe(204);
    expect((await post('downloadFile', { path: '/data/late' })).bytes.equals(bytes)).toBe(true);
  });

  it('refuses uploads that are wrong', async () => {
    const file: Parts[number] = ['file', Buffer.from('x')];
    expect(await upload('uploadFile', [file])).toBe(400);
    expect(await upload('uploadFile', [['path', '/x']])).toBe(400);
    expect(await upload('uploadFile', [['path', '/tmp'], file])).toBe(400);
    expect(await upload('uploadFile', [['path', '/bin/sh/x'], file])).toBe(400);
    expect(await upload('uploadFile', [['path', '/x'], file], paused)).toBe(409);
    expect(await upload('streamUploadFile', [['path', '/x'], file], paused)).toBe(409);
    expect(await upload('streamUploadFile', [['path', '/x'], file], 'cl-unknown')).toBe(404);
    const json = await call('uploadFile', { params: { id }, body: { path: '/x' }, as: as() });
    expect(json.status).toBe(400);
    const broken = await call('uploadFile', {
      params: { id },
      body: 'not multipart at all',
      headers: { 'content-type': 'multipart/form-data' },
      as: as(),
    });
    expect(broken.status).toBe(400);
  });

  it('refuses more than 100 MiB on the buffered route without taking it', async () => {
    const form = new FormData();
    form.append('path', '/big');
    form.append('file', new Blob([Buffer.alloc(101 * 1024 * 1024)]));
    const answer = await call<{ error: { code: string } }>('uploadFile', { params: { id }, form, as: as() });
    expect([answer.status, answer.body.error.code]).toEqual([413, 'too_large']);
    expect((await post('downloadFile', { path: '/big' })).status).toBe(404);
  });

  it('lists, makes and removes', async () => {
    const made = await post('makeDir', { path: '/d/sub' });
    expect(made.body).toEqual({
      entry: expect.objectContaining({
        name: 'sub',
        path: '/d/sub',
        type: 'directory',
        permissions: 'drwxr-xr-x',
      }),
    });
    expect((await post('makeDir', { path: '/d/sub' })).status).toBe(409);
    await upload('uploadFile', [
      ['path', '/d/sub/f'],
      ['file', Buffer.from('abc')],
    ]);
    // by JSON: a form's text has its line ends changed (RFC 7578 section 4.2)
    expect((await post('makeDir', { path: '/d/with\nnewline é' })).status).toBe(200);
    const paths = async (depth?: number) =>
      (await post('listDir', { path: '/d', ...(depth === undefined ? {} : { depth }) })).body.entries.map(
        (e) => e.path,
      );
    expect(await paths()).toEqual(['/d/sub', '/d/with\nnewline é']);
    expect(await paths(0)).toEqual(await paths(1));
    expect(await paths(2)).toEqual(['/d/sub', '/d/sub/f', '/d/with\nnewline é']);
    expect((await post('listDir', { path: '/d', depth: -1 })).status).toBe(400);
    expect((await post('listDir', { path: '/d/sub/f' })).status).toBe(400);
    expect((await post('removePath', { path: '/d' })).status).toBe(204);
    expect((await post('removePath', { path: '/' })).status).toBe(403);
    for (const operation of ['removePath', 'listDir', 'downloadFile', 'streamDownloadFile']) {
      expect((await post(operation, { path: '/d/sub' })).status).toBe(404);
    }
    expect((await post('downloadFile', { path: '/tmp' })).status).toBe(400);
  });

  it('needs a running capsule of the team, and a path', async () => {
    for (const operation of ['listDir', 'makeDir', 'removePath', 'downloadFile', 'streamDownloadFile']) {
      expect((await post(operation, { path: '/tmp' }, paused)).status).toBe(409);
      expect((await post(operation, { path: '/tmp' }, 'cl-unknown')).status).toBe(404);
      expect((await post(operation, {})).status).toBe(400);
      expect((await post(operation, { path: '' })).status).toBe(400);
      expect((await post(operation, { path: '/a\u0000b' })).status).toBe(400);
      expect((await post(operation, { path: '/'.padEnd(5000, 'x') })).status).toBe(400);
    }
  });
}
