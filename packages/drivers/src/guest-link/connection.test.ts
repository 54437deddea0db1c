/** A guest that misbehaves: the host closes the link with a reason instead of believing it. */
import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { encodeFrame } from './codec.ts';
import { type Connection, connect } from './connection.ts';
import { download } from './download.ts';
import { encodeFields } from './fields.ts';
import { follow } from './process.ts';
import { F, FRAME_HEADER, FRAME_MAX_PAYLOAD, FRAME_TRAILER, NONCE_SIZE, T } from './wire.ts';

const RESYNC = FRAME_HEADER + FRAME_MAX_PAYLOAD + FRAME_TRAILER;

interface FakeGuest {
  connection: Connection;
  /** Sends a frame of the right epoch to the host. */
  say(stream: number, type: number, payload?: Buffer, flags?: number): void;
  raw(bytes: Buffer): void;
}

/** A host's connection to a guest whose frames the test writes. */
async function fakeGuest(version = 1): Promise<FakeGuest> {
  let received = Buffer.alloc(0);
  let hello: () => void = () => undefined;
  const greeted = new Promise<void>((resolve) => {
    hello = resolve;
  });
  const wire = new Duplex({
    read: () => undefined,
    writev: (chunks, done) => {
      received = Buffer.concat([received, ...chunks.map(({ chunk }) => chunk as Buffer)]);
      if (received.length >= RESYNC + FRAME_HEADER + NONCE_SIZE) hello();
      done();
    },
  });
  const connection = connect(wire);
  await greeted;
  const epoch = received.readUInt32LE(RESYNC + 4);
  const nonce = received.subarray(RESYNC + FRAME_HEADER, RESYNC + FRAME_HEADER + NONCE_SIZE);
  const raw = (bytes: Buffer) => wire.push(bytes);
  const say: FakeGuest['say'] = (stream, type, payload = Buffer.alloc(0), flags = 0) =>
    raw(encodeFrame(epoch, stream, type, flags, payload));
  say(0, T.HELLO_ACK, Buffer.concat([nonce, encodeFields([[F.VERSION, version]])]));
  return { connection, say, raw };
}

const nothing = Buffer.alloc(0);

test('more output than was granted', async () => {
  const { connection, say } = await fakeGuest();
  const starting = follow(connection, 'starting', T.EXEC, nothing, { stdout: 0, stderr: 0 });
  say(1, T.REPLY, encodeFields([[F.PID, 5]]));
  const process = await starting;
  for (let i = 0; i < 9; i++) say(1, T.OUTPUT, Buffer.alloc(32_768 + 8), 1);
  await expect(connection.closed).resolves.toContain('not asked for');
  await expect(process.exit).rejects.toMatchObject({ code: 'capsule_lost' });
});

test('tiny frames without end', async () => {
  const { connection, say } = await fakeGuest();
  void follow(connection, 'starting', T.EXEC, nothing, { stdout: 0, stderr: 0 }).catch(() => undefined);
  for (let i = 0; i < 1025; i++) say(1, T.OUTPUT, Buffer.alloc(9), 1);
  await expect(connection.closed).resolves.toContain('not asked for');
});

test('more data than was granted', async () => {
  const { connection, say } = await fakeGuest();
  const reading = download(connection, 'reading', T.READ, nothing).catch((error: unknown) => error);
  for (let i = 0; i < 17; i++) say(1, T.DATA, Buffer.alloc(65536));
  await expect(connection.closed).resolves.toContain('not asked for');
  expect(await reading).toMatchObject({ code: 'capsule_lost' });
});

test('a reply without end', async () => {
  const { connection, say } = await fakeGuest();
  const asking = connection.request('asking', T.PROCESSES).catch((error: unknown) => error);
  for (let i = 0; i < 257; i++) say(1, T.REPLY, Buffer.alloc(65536), 1);
  await expect(connection.closed).resolves.toContain('endless');
  expect(await asking).toMatchObject({ code: 'capsule_lost' });
});

test('another version, and bytes that are no frames', async () => {
  const old = await fakeGuest(7);
  await expect(old.connection.greeted).rejects.toThrow('speaks version 7');
  const noise = await fakeGuest();
  await noise.connection.greeted;
  noise.raw(Buffer.from('kernel panic'));
  await expect(noise.connection.closed).resolves.toContain('between frames');
});

test('answers to nobody and fields that are cut are harmless', async () => {
  const { connection, say } = await fakeGuest();
  say(77, T.REPLY);
  say(78, T.OUTPUT, Buffer.alloc(20), 1);
  const asking = connection.request('asking', T.PROCESSES);
  say(1, T.REPLY, Buffer.from([F.PROCESS, 0xff, 0xff, 0xff, 1]));
  expect((await asking).length).toBe(5);
});
