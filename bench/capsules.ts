/** What is measured of capsules, over HTTP on a product of its own. For the benchmarks. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Product, startProduct } from '../test/support/product.ts';
import { type Call, createClient } from './http.ts';
import { type Samples, sample, timed } from './stats.ts';

/** The command every round runs: a dynamic Debian program. */
const COMMAND = { cmd: 'echo', args: ['hello'] };

export interface CapsuleFigures {
  warm: Samples;
  cold: Samples;
  burst: Samples;
  exec: Samples;
  pause: Samples;
  resume: Samples;
  fork: Samples;
  destroy: Samples;
  /** Proportional set size of idle warm clones, MB. */
  pssMb: Samples;
}

/** Runs everything; `say` is told what is being done. */
export async function measureCapsules(rounds: number, say: (text: string) => void): Promise<CapsuleFigures> {
  say('capsules with a warm pool');
  const warm = await withProduct({ AVIARY_POOL: '16' }, async (product, call) => {
    await poolIsFull(product);
    const pssMb = await pssOfPool(product);
    const created: number[] = [];
    const exec: number[] = [];
    const destroy: number[] = [];
    for (let n = 0; n < rounds; n++) {
      await poolIsFull(product);
      const start = performance.now();
      const id = await create(call);
      await run(call, id);
      created.push(performance.now() - start);
      for (let again = 0; again < 5; again++) exec.push(await timed(() => run(call, id)));
      destroy.push(await timed(() => call('DELETE', `/v1/capsules/${id}`)));
    }
    say('20 at once');
    const burst = await sample(5, async () => {
      await poolIsFull(product);
      const ids: string[] = [];
      const wall = await timed(async () => {
        ids.push(...(await Promise.all(Array.from({ length: 20 }, () => create(call)))));
      });
      await Promise.all(ids.map((id) => call('DELETE', `/v1/capsules/${id}`)));
      return wall;
    });
    return { pssMb, warm: created, exec, destroy, burst };
  });
  say('capsules with an empty pool, pause, resume, fork');
  const cold = await withProduct({ AVIARY_POOL: '0' }, async (_product, call) => {
    await call('DELETE', `/v1/capsules/${await create(call)}`); // boots the template
    const created = await sample(rounds, async () => {
      const start = performance.now();
      const id = await create(call);
      await run(call, id);
      const took = performance.now() - start;
      await call('DELETE', `/v1/capsules/${id}`);
      return took;
    });
    const id = await create(call);
    await call('POST', `/v1/capsules/${id}/exec`, {
      cmd: 'sh',
      args: ['-c', 'head -c 20000000 /dev/urandom > /dev/shm/dirty'],
    });
    const pause: number[] = [];
    const resume: number[] = [];
    const fork: number[] = [];
    for (let n = 0; n < rounds; n++) {
      pause.push(await timed(() => call('POST', `/v1/capsules/${id}/pause`)));
      resume.push(
        await timed(async () => {
          await call('POST', `/v1/capsules/${id}/resume`);
          await run(call, id);
        }),
      );
      let child = '';
      fork.push(
        await timed(async () => {
          child = (await call('POST', `/v1/capsules/${id}/fork`, { count: 1 })).body[0].id;
        }),
      );
      await call('DELETE', `/v1/capsules/${child}`);
    }
    return { cold: created, pause, resume, fork };
  });
  return { ...warm, ...cold };
}

async function withProduct<T>(
  env: Readonly<Record<string, string>>,
  work: (product: Product, call: Call) => Promise<T>,
): Promise<T> {
  const product = await startProduct(env);
  try {
    return await work(product, createClient(product.url, { 'x-api-key': product.key }));
  } finally {
    await product.close();
  }
}

async function create(call: Call): Promise<string> {
  return (await call('POST', '/v1/capsules', {})).body.id;
}

async function run(call: Call, id: string): Promise<void> {
  const { body } = await call('POST', `/v1/capsules/${id}/exec`, COMMAND);
  if (body.stdout !== 'hello\n') throw new Error(`the command printed ${JSON.stringify(body)}`);
}

/** Until as many warm clones are ready as are wanted, by the product's own metrics. */
async function poolIsFull(product: Product): Promise<void> {
  for (;;) {
    const text = await (await fetch(`${product.url}/metrics`)).text();
    const value = (state: string) =>
      Number(new RegExp(`aviary_capsule_pool\\{state="${state}"\\} (\\d+)`).exec(text)?.[1]);
    if (value('wanted') > 0 && value('ready') >= value('wanted')) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** PSS of each warm clone's process (smaps_rollup, proc(5)). */
async function pssOfPool(product: Product): Promise<number[]> {
  const pool = join(product.data, 'capsules', 'pool');
  const sizes: number[] = [];
  for (const member of await readdir(pool)) {
    const { pid } = JSON.parse(await readFile(join(pool, member, 'run.json'), 'utf8'));
    const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
    sizes.push(Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1]) / 1024);
  }
  return sizes;
}
