/** SIGTERM while the first template boots: it ends in time and leaves nothing on the machine. */
import { expect, it } from 'vitest';
import { startProduct } from '../support/product.ts';
import { machinesOf } from '../support/traces.ts';

it('leaves nothing behind when it is stopped at once', async () => {
  const product = await startProduct();
  await product.close();
});

it('leaves nothing behind when it is stopped while its first template boots', async () => {
  const product = await startProduct();
  try {
    // an image that is not in the cache yet is built first
    await expect
      .poll(() => machinesOf(product.data), { interval: 20, timeout: 90_000 })
      .toMatchObject([{ unit: expect.stringMatching(/^boot-/) }]);
  } finally {
    const start = performance.now();
    await product.close();
    expect(performance.now() - start).toBeLessThan(5000);
  }
});
