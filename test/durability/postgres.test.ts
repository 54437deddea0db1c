/** kill -9 of the supervised PostgreSQL while requests run: success or a clear 503, and no lost write. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Failure } from '../support/api.ts';
import { type Product, startProduct } from '../support/product.ts';

let product: Product;
beforeAll(async () => {
  product = await startProduct();
});
afterAll(() => product?.close());

const postmaster = () =>
  Number(readFileSync(join(product.data, 'postgres/cluster/postmaster.pid'), 'utf8').split('\n')[0]);

it('loses no write that was acknowledged and recovers by itself, three times', async () => {
  const box = product.api.capsule((await product.api.create()).id);
  const answers: Record<number, number> = {};
  let stop = false;
  let tried = 0;
  let last = 0;
  let refused: string[] = [];
  const note = (status: number, body: Failure | null) => {
    answers[status] = (answers[status] ?? 0) + 1;
    if (status >= 400) refused.push(`${status} ${body?.error.code}`);
  };
  // one writer, so that the order of its writes is known; what was refused may or may not have been done
  const writer = (async () => {
    while (!stop) {
      const value = ++tried;
      const { status, body } = await product.api.put<Failure>(`${box.path}/timeout`, {
        timeout_sec: 100_000 + value,
      });
      note(status, body);
      if (status === 200) last = value;
    }
  })();
  const makers = Array.from({ length: 2 }, async () => {
    const made: string[] = [];
    while (!stop) {
      const { status, body } = await product.api.post<{ id: string } & Failure>('/v1/capsules', {});
      note(status, body);
      if (status !== 201) continue;
      made.push(body.id);
      const gone = await product.api.capsule(body.id).destroy();
      note(gone.status, gone.body);
    }
    return made;
  });
  const reader = (async () => {
    while (!stop) {
      const { status, body } = await product.api.get<Failure>(box.path);
      note(status, body);
    }
  })();
  for (let round = 0; round < 3; round++) {
    const goal = last + 20;
    await expect.poll(() => last, { timeout: 20_000 }).toBeGreaterThan(goal);
    const before = postmaster();
    process.kill(before, 'SIGKILL');
    const at = performance.now();
    const known = last;
    await expect.poll(() => last, { timeout: 20_000 }).toBeGreaterThan(known + 5);
    expect(postmaster()).not.toBe(before);
    expect(performance.now() - at).toBeLessThan(15_000);
  }
  stop = true;
  const [, , ...lists] = await Promise.all([writer, reader, ...makers]);
  const value = (await box.read()).timeout_sec - 100_000;
  expect(value).toBeGreaterThanOrEqual(last);
  expect(value).toBeLessThanOrEqual(tried);
  for (const id of lists.flat()) expect((await product.api.get(`/v1/capsules/${id}`)).status).toBe(200);
  refused = [...new Set(refused)];
  expect(refused.filter((one) => one !== '503 database_unavailable')).toEqual([]);
  expect(await box.sh('echo fine')).toBe('fine\n');
  expect((await fetch(`${product.url}/healthz`)).status).toBe(200);
});
