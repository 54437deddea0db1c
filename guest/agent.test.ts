/** The guest's own tests: its parser under sanitizers, and that the prebuilt binary is of these sources. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ensureAgent, prebuiltHash, sourceHash } from './build-agent.mjs';

const run = promisify(execFile);
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const compiler = await run('gcc', ['--version']).then(
  () => true,
  () => false,
);

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'agent-'));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

// Without a compiler there is nothing to sanitize; the prebuilt agent still runs in guest-link's suite.
describe.skipIf(!compiler)('the frame parser, with address and undefined-behaviour sanitizers', () => {
  test.each([1, 20261, 77])('survives 100,000 rounds of cuts, flips and garbage, seed %i', async (seed) => {
    const binary = join(dir, `fuzz-${seed}`);
    const sanitize = ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
    await run('gcc', [
      '-O1',
      '-g',
      ...sanitize,
      '-o',
      binary,
      here('test/parser-fuzz.c'),
      here('src/frame.c'),
    ]);
    const { stdout } = await run(binary, ['100000', String(seed)]);
    expect(stdout).toMatch(/^100000 iterations, [1-9]\d* dropped/);
  });
});

test('the prebuilt agent is of these sources and small', async () => {
  expect(await prebuiltHash()).toBe(await sourceHash());
  const packed = await readFile(here('prebuilt/agent-x86_64.gz'));
  expect(packed.length).toBeLessThan(512 << 10);
  expect(gunzipSync(packed).subarray(0, 4).toString('latin1')).toBe('\x7fELF');
});

test('an agent is made once and kept', async () => {
  const path = join(dir, 'agent');
  expect(['compiled', 'prebuilt']).toContain(await ensureAgent(path));
  expect(await ensureAgent(path)).toBe('kept');
  await expect(run(path, [])).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--test DIR'),
  });
});
