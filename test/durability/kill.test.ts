/**
 * kill -9 of the control plane at 20 seeded moments during create, pause, resume and snapshot. After each
 * restart: nothing acknowledged is lost, nothing stays in between, nothing is left that nobody owns, and what
 * ran goes on. One round does all four at once, each started so that the kill meets another part of it.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Box, Capsule, Reply } from '../support/api.ts';
import { type Product, startProduct } from '../support/product.ts';
import { text } from '../support/text.ts';
import { unowned } from '../support/traces.ts';

const ROUNDS = 20;
const SEED = 20_260_101;

let product: Product;
beforeAll(async () => {
  product = await startProduct();
});
afterAll(() => product?.close());

/** Mulberry32: the same moments every time. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

type Work = 'create' | 'pause' | 'resume' | 'snapshot';
const KINDS: readonly Work[] = ['create', 'pause', 'resume', 'snapshot'];

/** Fractions of each work's duration at which the kill comes: one in each twentieth of 0-115 %, shuffled. */
function moments(next: () => number): number[] {
  const all = Array.from({ length: ROUNDS }, (_, i) => ((i + next()) / ROUNDS) * 1.15);
  return all
    .map((at) => ({ at, order: next() }))
    .sort((a, b) => a.order - b.order)
    .map(({ at }) => at);
}

/** A capsule with a process that counts, and data of its own. */
interface Marked {
  box: Box;
  pid: number;
  word: string;
}

async function marked(word: string): Promise<Marked> {
  const box = product.api.capsule((await product.api.create()).id);
  await box.sh(`echo ${word} > /root/word; sync`);
  const { pid } = await box.spawn({ cmd: 'sh', args: ['-c', `echo ${word}; exec sleep 7200`], tag: 'work' });
  return { box, pid, word };
}

/** What was put in is there: the file, the process under its pid, its output from the beginning. */
async function intact({ box, pid, word }: Marked): Promise<void> {
  expect(await box.sh('cat /root/word')).toBe(`${word}\n`);
  expect(await box.processes()).toContainEqual(expect.objectContaining({ pid, tag: 'work' }));
  const output = await box.attach('work');
  await output.next(({ type }) => type === 'stdout');
  expect(text(output, 'stdout')).toBe(`${word}\n`);
  output.close();
}

/** The answer, or null when the kill was faster. */
const acknowledged = <T>(work: Promise<Reply<T>>): Promise<Reply<T> | null> => work.catch(() => null);

/** Nothing stays between two states: a work that the kill cut off is over within seconds of the restart. */
async function settled(box: Box): Promise<Capsule> {
  await expect
    .poll(async () => (await box.read()).status, { timeout: 5000 })
    .toMatch(/^(running|paused|stopped|error)$/);
  return box.read();
}

/** Running, woken if it sleeps; what was under way may be finished first, but only for seconds. */
async function awake(box: Box): Promise<void> {
  await expect
    .poll(
      async () => {
        if ((await box.read()).status === 'paused') await box.resume();
        return (await product.api.post(`${box.path}/ping`)).status;
      },
      { timeout: 5000 },
    )
    .toBe(204);
}

const every = async (): Promise<Capsule[]> =>
  (
    await Promise.all(
      ['', '?status=error', '?status=missing'].map((query) =>
        product.api.get<Capsule[]>(`/v1/capsules${query}`),
      ),
    )
  ).flatMap(({ body }) => body);
const snapshotNames = async () =>
  (await product.api.get<{ name: string }[]>('/v1/snapshots?type=snapshot')).body.map(({ name }) => name);

async function nothingUnowned(): Promise<void> {
  await expect
    .poll(
      async () => {
        // an error keeps neither process nor files
        const owned = (await every()).filter(({ status }) => status !== 'error');
        return unowned(product.data, owned, (await snapshotNames()).length);
      },
      { timeout: 5000 },
    )
    .toEqual([]);
}

interface Round {
  pause: Marked;
  resume: Marked;
  snapshot: Marked;
  name: string;
  keep: boolean;
}

async function prepare(n: number): Promise<Round> {
  const [pause, resume, snapshot] = await Promise.all([
    marked(`pause-${n}`),
    marked(`resume-${n}`),
    marked(`snapshot-${n}`),
  ]);
  expect((await resume.box.pause()).status).toBe(200);
  return { pause, resume, snapshot, name: `round-${n}`, keep: n % 2 === 0 };
}

const works = (round: Round): Record<Work, () => Promise<Reply<Capsule>>> => ({
  create: () => product.api.post('/v1/capsules', {}),
  pause: () => round.pause.box.pause(),
  resume: () => round.resume.box.resume(),
  snapshot: () =>
    product.api.post('/v1/snapshots', {
      sandbox_id: round.snapshot.box.id,
      name: round.name,
      keep_running: round.keep,
    }),
});

type Answers = Record<Work, Reply<Capsule> | null>;

/** Starts each work so that after `lead` ms a kill meets it at its fraction; answers what was acknowledged. */
async function meet(
  round: Round,
  durations: Record<Work, number>,
  at: Record<Work, number>,
): Promise<Answers> {
  const lead = Math.max(...KINDS.map((kind) => durations[kind] * at[kind]));
  const start = performance.now();
  const till = (ms: number) =>
    new Promise<void>((resolve) => setTimeout(resolve, ms - (performance.now() - start)));
  const all = works(round);
  const answers = KINDS.map(async (kind) => {
    await till(lead - durations[kind] * at[kind]);
    return [kind, await acknowledged(all[kind]())] as const;
  });
  await till(lead);
  await product.kill();
  return Object.fromEntries(await Promise.all(answers)) as Answers;
}

/** What was promised is so, what was not is one thing or the other, and all of it works. */
async function check(round: Round, answers: Answers, known: ReadonlySet<string>): Promise<void> {
  const { pause, resume, snapshot, name, keep } = round;
  for (const { id } of await every()) await settled(product.api.capsule(id));
  if (answers.create) {
    expect(answers.create.status).toBe(201);
    const made = product.api.capsule(answers.create.body.id);
    expect((await made.read()).status).toBe('running');
    expect(await made.sh('echo fine')).toBe('fine\n');
  }
  for (const { id, status } of await every()) {
    // one that was made and never announced works too, or says why not
    if (!known.has(id) && status === 'running') await product.api.capsule(id).sh('true');
  }

  if (answers.pause) {
    expect([answers.pause.status, (await settled(pause.box)).status]).toEqual([200, 'paused']);
  }
  await awake(pause.box);
  await intact(pause);

  if (answers.resume) {
    expect([answers.resume.status, (await settled(resume.box)).status]).toEqual([200, 'running']);
  }
  await awake(resume.box);
  await intact(resume);

  const there = (await snapshotNames()).includes(name);
  if (answers.snapshot) expect([answers.snapshot.status, there]).toEqual([201, true]);
  const source = await settled(snapshot.box);
  if (answers.snapshot && !keep) expect(source.status).toBe('stopped');
  else if (keep || !there) expect(source.status).toBe('running');
  if (source.status === 'running') {
    await awake(snapshot.box);
    await intact(snapshot);
  }
  if (there) {
    const child = product.api.capsule((await product.api.create({ template: name })).id);
    await intact({ ...snapshot, box: child });
  }
}

it(`survives ${ROUNDS} kills in each of create, pause, resume and snapshot`, {
  timeout: 300_000,
}, async () => {
  const next = random(SEED);
  const fractions = Object.fromEntries(KINDS.map((kind) => [kind, moments(next)])) as Record<Work, number[]>;
  const lasting = await marked('lasting');

  // how long each takes when all four go on
  const rehearsal = await prepare(0);
  const durations = { create: 0, pause: 0, resume: 0, snapshot: 0 };
  await Promise.all(
    KINDS.map(async (kind) => {
      const start = performance.now();
      expect((await works(rehearsal)[kind]()).status).toBeLessThan(300);
      durations[kind] = performance.now() - start;
    }),
  );

  const counted: Record<Work, number> = { create: 0, pause: 0, resume: 0, snapshot: 0 };
  for (let n = 0; n < ROUNDS; n++) {
    for (const { id } of await every()) if (id !== lasting.box.id) await product.api.capsule(id).destroy();
    for (const name of await snapshotNames()) await product.api.delete(`/v1/snapshots/${name}`);
    const round = await prepare(n + 1);
    const known = new Set((await every()).map(({ id }) => id));
    const at = Object.fromEntries(KINDS.map((kind) => [kind, fractions[kind][n]])) as Record<Work, number>;
    const answers = await meet(round, durations, at);
    for (const kind of KINDS) if (answers[kind]) counted[kind]++;
    await product.start();
    try {
      await check(round, answers, known);
      await intact(lasting);
      await nothingUnowned();
    } catch (error) {
      const moment = KINDS.map(
        (kind) => `${kind} ${Math.round(at[kind] * 100)} %${answers[kind] ? ' (acknowledged)' : ''}`,
      );
      throw new Error(`round ${n + 1}, killed at ${moment.join(', ')}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
  // the moments were spread: some works were cut off, some were done
  for (const kind of KINDS) {
    expect(counted[kind], `${kind} acknowledged`).toBeLessThan(ROUNDS);
  }
});
