/** Snapshots, forks and what makes copies different: cases 26 and 31-36 of the behaviour reference. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Box, Capsule, Failure } from '../support/api.ts';
import { type Product, startProduct } from '../support/product.ts';

const UNKNOWN = `cl-${'0'.repeat(25)}`;

let product: Product;
beforeAll(async () => {
  product = await startProduct();
});
afterAll(() => product?.close());

interface Template {
  name: string;
  type: string;
  vcpus: number;
  memory_mb: number;
  size_bytes: number;
}

const create = async (order: object = {}) => product.api.capsule((await product.api.create(order)).id);
const snapshot = (box: Box, more: object = {}, query = '') =>
  product.api.post<Template & Failure>(`/v1/snapshots${query}`, {
    sandbox_id: box.id,
    keep_running: true,
    ...more,
  });
const snapshots = async () =>
  (await product.api.get<Template[]>('/v1/snapshots?type=snapshot')).body.map(({ name }) => name);
const fork = async (box: Box, count?: number): Promise<Box[]> => {
  const { status, body } = await product.api.post<Capsule[]>(
    `${box.path}/fork`,
    count === undefined ? undefined : { count },
  );
  expect(status).toBe(201);
  return body.map(({ id }) => product.api.capsule(id));
};
const gone = (boxes: Box[]) => Promise.all(boxes.map((box) => box.destroy()));

/** What must differ between copies, each by the command that tells it. */
const SELF: Readonly<Record<string, string>> = {
  urandom: "od -An -v -tx1 -N16 /dev/urandom | tr -d ' '",
  uuid: 'cat /proc/sys/kernel/random/uuid',
  'machine id': 'cat /etc/machine-id',
  'host name': 'hostname',
  'boot id': 'cat /proc/sys/kernel/random/boot_id',
  clock: 'date +%s%3N',
};
/** A program's own generator, for those that are not too many: each start is slow under emulation. */
const PROGRAMS = {
  ...SELF,
  'uuid4 and random': "python3 -c 'import uuid, random; print(uuid.uuid4(), random.random())'",
};

/** All of them at once; each field but the clock has as many values as there are copies. */
async function allDiffer(boxes: Box[], self = SELF): Promise<void> {
  const answers = await Promise.all(
    boxes.map(async (box) => {
      const before = Date.now();
      const said = (await box.sh(Object.values(self).join('; '), { timeout_sec: 60 })).trim().split('\n');
      return { said, before, after: Date.now() };
    }),
  );
  for (const [at, field] of Object.keys(self).entries()) {
    const values = answers.map(({ said }) => said[at]);
    if (field === 'clock') {
      for (const { said, before, after } of answers) {
        expect(Number(said[at])).toBeGreaterThan(before - 1000);
        expect(Number(said[at])).toBeLessThan(after + 1000);
      }
    } else expect([field, new Set(values).size]).toEqual([field, boxes.length]);
  }
}

describe('copies differ', () => {
  it('case 26: 20 capsules at once have randomness, names and time of their own at their first command', async () => {
    const made = await Promise.all(Array.from({ length: 20 }, () => create()));
    await allDiffer(made);
    await gone(made);
  });

  it('case 26: forks, their source and children of one snapshot too', async () => {
    const source = await create();
    await source.sh('true');
    const children = await fork(source, 4);
    await allDiffer([source, ...children], PROGRAMS);
    expect((await snapshot(source, { name: 'alike' })).status).toBe(201);
    const more = await Promise.all([1, 2, 3].map(() => create({ template: 'alike' })));
    await allDiffer([source, ...more], PROGRAMS);
    await gone([source, ...children, ...more]);
    await product.api.delete('/v1/snapshots/alike');
  });

  it('case 26: the same capsule before and after a resume', async () => {
    const box = await create();
    const random = () => box.sh('head -c 32 /dev/urandom | sha256sum; cat /proc/sys/kernel/random/uuid');
    const name = await box.sh('cat /etc/machine-id; hostname');
    const before = await random();
    await box.pause();
    await box.resume();
    expect(await random()).not.toBe(before);
    expect(await box.sh('cat /etc/machine-id; hostname')).toBe(name);
    await box.destroy();
  });
});

describe('snapshots', () => {
  it('case 31: names are generated, taken, replaced on request, or reserved', async () => {
    const box = await create();
    const auto = await snapshot(box);
    expect(auto.status).toBe(201);
    expect(auto.body.name).toMatch(/^template-[0-9a-f]{8}$/);
    expect(auto.body).toMatchObject({ type: 'snapshot', vcpus: 1, memory_mb: 512 });
    expect(auto.body.size_bytes).toBeGreaterThan(0);
    await box.sh('echo first > /root/which');
    expect((await snapshot(box, { name: 'mine' })).status).toBe(201);
    const taken = await snapshot(box, { name: 'mine' });
    expect([taken.status, taken.body.error.code]).toEqual([409, 'template_name_taken']);
    await box.sh('echo second > /root/which');
    expect((await snapshot(box, { name: 'mine' }, '?overwrite=true')).status).toBe(201);
    const child = await create({ template: 'mine' });
    expect(await child.sh('cat /root/which')).toBe('second\n');
    const reserved = await snapshot(box, { name: 'minimal' });
    expect([reserved.status, reserved.body.error.code]).toEqual([409, 'name_reserved']);
    for (const name of ['', '../x', 'a b', '.x', 'x'.repeat(65), 'a\u0000']) {
      expect([name, (await snapshot(box, { name })).status]).toEqual([name, 400]);
    }
    expect((await snapshots()).sort()).toEqual([auto.body.name, 'mine'].sort());
    await gone([box, child]);
    for (const name of await snapshots()) {
      expect((await product.api.delete(`/v1/snapshots/${name}`)).status).toBe(204);
    }
    expect((await product.api.delete('/v1/snapshots/mine')).status).toBe(404);
  });

  it('case 32: files and processes are in it, sizes are its own, and by default the source ends', async () => {
    const box = await create();
    await box.sh('echo kept > /root/kept; chmod 0755 /root/kept; ln -s kept /root/link');
    const { pid } = await box.spawn({ cmd: 'sleep', args: ['3232'], tag: 'work' });
    expect((await snapshot(box, { name: 'whole', keep_running: false })).status).toBe(201);
    expect((await box.read()).status).toBe('stopped');
    const order = await product.api.create({ template: 'whole' });
    expect(order).toMatchObject({ template: 'whole', vcpus: 1, memory_mb: 512 });
    const child = product.api.capsule(order.id);
    expect(await child.sh('cat /root/link; stat -c %a /root/kept')).toBe('kept\n755\n');
    expect(await child.processes()).toContainEqual({ pid, tag: 'work', cmd: 'sleep', args: ['3232'] });
    // a snapshot's memory has its size: docs/capsules.md, Sizes
    const other = await product.api.create({ template: 'whole', memory_mb: 1024, vcpus: 2 });
    expect(other).toMatchObject({ vcpus: 1, memory_mb: 512 });
    await product.api.capsule(other.id).destroy();
    const stranger = await product.stranger();
    expect((await stranger.post('/v1/capsules', { template: 'whole' })).status).toBe(404);
    expect((await stranger.get<Template[]>('/v1/snapshots?type=snapshot')).body).toEqual([]);
    expect((await stranger.delete('/v1/snapshots/whole')).status).toBe(404);
    await child.destroy();
    await product.api.delete('/v1/snapshots/whole');
  });

  it('case 33: deleted while children run: they do not notice, also over a pause; later ones are 404', async () => {
    const box = await create();
    await box.sh('head -c 1000000 /dev/urandom > /root/data; sha256sum /root/data > /root/sum');
    expect((await snapshot(box, { name: 'short-lived' })).status).toBe(201);
    const child = await create({ template: 'short-lived' });
    expect((await product.api.delete('/v1/snapshots/short-lived')).status).toBe(204);
    expect((await product.api.post('/v1/capsules', { template: 'short-lived' })).status).toBe(404);
    await child.sh('sha256sum -c /root/sum');
    expect((await child.pause()).status).toBe(200);
    expect((await child.resume()).status).toBe(200);
    await child.sh('sha256sum -c /root/sum; echo more >> /root/data');
    expect((await product.api.delete('/v1/snapshots/minimal')).status).toBeGreaterThanOrEqual(400);
    await gone([box, child]);
  });

  it('case 35: a tree A -> (B -> D, C) made quickly: each has its own data', async () => {
    const word = (box: Box) => box.sh('cat /root/path');
    const add = (box: Box, letter: string) => box.sh(`printf ${letter} >> /root/path`);
    const root = await create();
    await add(root, 'A');
    await snapshot(root, { name: 'A' });
    const [b, c] = await Promise.all([create({ template: 'A' }), create({ template: 'A' })]);
    await Promise.all([add(b, 'B'), add(c, 'C')]);
    await Promise.all([snapshot(b, { name: 'AB' }), snapshot(c, { name: 'AC' })]);
    const d = await create({ template: 'AB' });
    await add(d, 'D');
    await snapshot(d, { name: 'ABD' });
    // the middle of the tree may go
    await product.api.delete('/v1/snapshots/AB');
    const [last, side] = await Promise.all([create({ template: 'ABD' }), create({ template: 'AC' })]);
    expect(await Promise.all([root, b, c, d, last, side].map(word))).toEqual([
      'A',
      'AB',
      'AC',
      'ABD',
      'ABD',
      'AC',
    ]);
    await gone([root, b, c, d, last, side]);
    for (const name of await snapshots()) await product.api.delete(`/v1/snapshots/${name}`);
  });
});

describe('forks', () => {
  it('cases 34 and 36: N new ids, the source goes on, writes are isolated, files are exact', async () => {
    const source = await create();
    await source.sh(
      "printf '\\000\\377' > /root/bytes; chmod 0755 /root/bytes; ln -s bytes /root/link; echo before > /root/word",
    );
    const { pid } = await source.spawn({ cmd: 'sleep', args: ['3434'], tag: 'work' });
    const children = await fork(source, 3);
    expect(new Set([source, ...children].map(({ id }) => id)).size).toBe(4);
    expect((await source.read()).status).toBe('running');
    await source.sh('echo source > /root/word');
    await children[0]!.sh('echo first > /root/word');
    expect(await Promise.all([source, ...children].map((box) => box.sh('cat /root/word')))).toEqual([
      'source\n',
      'first\n',
      'before\n',
      'before\n',
    ]);
    for (const box of children) {
      expect((await box.readFile('/root/link')).bytes).toEqual(Buffer.from([0, 255]));
      expect(await box.sh('stat -c %a /root/bytes; readlink /root/link')).toBe('755\nbytes\n');
      expect(await box.processes()).toContainEqual({ pid, tag: 'work', cmd: 'sleep', args: ['3434'] });
    }
    expect((await children[1]!.kill('work')).status).toBe(204);
    expect((await source.processes()).map((one) => one.pid)).toContain(pid);
    expect(await fork(source)).toHaveLength(1);
    await product.api.destroyAll();
  });

  it('case 34: a bad count is 400, a paused source 409, a destroyed or unknown one 404', async () => {
    const box = await create();
    const refused = async (body: object, path = box.path) =>
      (await product.api.post<Failure>(`${path}/fork`, body)).status;
    for (const count of [0, -1, 65, 1.5]) expect(await refused({ count })).toBe(400);
    await box.pause();
    expect(await refused({ count: 1 })).toBe(409);
    await box.destroy();
    expect(await refused({ count: 1 })).toBe(404);
    expect(await refused({ count: 1 }, `/v1/capsules/${UNKNOWN}`)).toBe(404);
  });
});
