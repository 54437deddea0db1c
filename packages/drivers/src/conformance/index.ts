/**
 * What every driver of capsules must do, as one suite: each driver's own test calls `capsuleHostConformance`.
 * Only what CapsuleHost promises; timing and isolation are the driver's own tests. For tests.
 */
import { randomBytes } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { type AviaryError, isAviaryError, newId } from '@aviary/kernel';
import type { CapsuleHost, CapsuleSpec, TemplateRef } from '@aviary/protocol';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const MINIMAL: TemplateRef = { kind: 'base', name: 'minimal' };

/** A default capsule with a new id. */
export function defaultSpec(template: TemplateRef = MINIMAL): CapsuleSpec {
  const sizes = { vcpus: 1, memoryMb: 512, diskMb: 5120 };
  return { id: newId('capsule'), template, ...sizes, envs: { COLOUR: 'green' }, user: 'root' };
}

/** Code of the failure, or `none`. */
async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'none';
  } catch (error) {
    return isAviaryError(error) ? (error as AviaryError).code : String(error);
  }
}

/** Registers the suite for the host that `open` answers; it is closed at the end. */
export function capsuleHostConformance(
  name: string,
  open: () => Promise<{ host: CapsuleHost; close: () => Promise<void> }>,
): void {
  describe(`${name} is a capsule host`, () => {
    let host: CapsuleHost;
    let close: () => Promise<void>;

    beforeAll(async () => {
      ({ host, close } = await open());
    });
    afterAll(() => close?.());

    const echo = async (id: string, word: string) => {
      const guest = await host.guest(id);
      const process = await guest.exec({ argv: ['echo', word] });
      let printed = '';
      for await (const { data } of process.output) printed += data.toString();
      return { printed, code: (await process.exit).code };
    };
    const write = async (id: string, path: string, content: string) => {
      const guest = await host.guest(id);
      await guest.writeFile(
        path,
        (async function* () {
          yield Buffer.from(content);
        })(),
      );
    };
    const read = async (id: string, path: string) => {
      const guest = await host.guest(id);
      return text((await guest.readFile(path)).body);
    };
    const stateOf = async (id: string) =>
      (await host.list()).find((capsule) => capsule.id === id)?.state ?? 'none';
    const fresh = async (template?: TemplateRef) => {
      const spec = defaultSpec(template);
      await host.create(spec);
      return spec;
    };

    test('says what it is', async () => {
      const facts = await host.facts();
      expect(facts.cpuCores).toBeGreaterThan(0);
      expect(facts.memoryMb).toBeGreaterThan(0);
      expect(facts.accelerationReason).not.toBe('');
      expect((await host.free()).memoryMb).toBeGreaterThan(0);
    });

    test('creates a running capsule once, however often it is asked', async () => {
      const spec = defaultSpec();
      const made = await host.create(spec);
      expect(made).toMatchObject({ id: spec.id, state: 'running', reason: null });
      expect(await host.create(spec)).toEqual(made);
      expect(await echo(spec.id, 'hello')).toEqual({ printed: 'hello\n', code: 0 });
      await host.destroy(spec.id);
    });

    test('prepares a template so that create need not', async () => {
      await host.prepare(MINIMAL, 1, 512);
      expect(host.isPrepared(MINIMAL, 1, 512)).toBe(true);
      expect(host.isPrepared({ kind: 'base', name: 'nosuch' }, 1, 512)).toBe(false);
    });

    test('refuses templates that it does not have', async () => {
      expect(await codeOf(host.create(defaultSpec({ kind: 'base', name: 'nosuch' })))).toBe(
        'template_not_found',
      );
      expect(await codeOf(host.create(defaultSpec({ kind: 'snapshot', id: 'tpl-nosuch' })))).toBe(
        'template_not_found',
      );
    });

    test('destroys whatever the state, and what it never had', async () => {
      const running = await fresh();
      const paused = await fresh();
      await host.pause(paused.id);
      for (const id of [running.id, paused.id, 'cl-never']) await host.destroy(id);
      expect(await stateOf(running.id)).toBe('none');
      expect(await stateOf(paused.id)).toBe('none');
      expect(await codeOf(host.guest(running.id))).toBe('capsule_not_found');
    });

    test('keeps everything over pause and resume, and both are idempotent', async () => {
      const { id } = await fresh();
      const content = randomBytes(2000).toString('hex');
      await write(id, '/tmp/kept', content);
      for (let round = 0; round < 3; round++) {
        await host.pause(id);
        await host.pause(id);
        expect(await stateOf(id)).toBe('paused');
        expect(await codeOf(host.guest(id))).toBe('capsule_not_running');
        expect(await host.resume(id)).toMatchObject({ id, state: 'running' });
        await host.resume(id);
        expect(await read(id, '/tmp/kept')).toBe(content);
      }
      await host.destroy(id);
    });

    test('forks into capsules of their own', async () => {
      const source = await fresh();
      await write(source.id, '/tmp/origin', 'before');
      const children = [defaultSpec(), defaultSpec()];
      const made = await host.fork(source.id, children);
      expect(made.map(({ id, state }) => [id, state])).toEqual(children.map(({ id }) => [id, 'running']));
      await write(source.id, '/tmp/origin', 'after');
      await write(children[0]!.id, '/tmp/origin', 'first child');
      expect(await read(source.id, '/tmp/origin')).toBe('after');
      expect(await read(children[0]!.id, '/tmp/origin')).toBe('first child');
      expect(await read(children[1]!.id, '/tmp/origin')).toBe('before');
      for (const { id } of [source, ...children]) await host.destroy(id);
    });

    test('snapshots a running capsule, which runs on', async () => {
      const source = await fresh();
      const templateId = newId('template');
      await write(source.id, '/tmp/frozen', 'in the snapshot');
      const snapshot = await host.snapshot(source.id, templateId);
      expect(snapshot).toMatchObject({ id: templateId, vcpus: 1, memoryMb: 512, diskMb: 5120 });
      expect(await echo(source.id, 'still here')).toEqual({ printed: 'still here\n', code: 0 });
      expect((await host.snapshots()).map(({ id }) => id)).toContain(templateId);
      await host.destroy(source.id);

      const child = await fresh({ kind: 'snapshot', id: templateId });
      expect(await read(child.id, '/tmp/frozen')).toBe('in the snapshot');
      await host.removeSnapshot(templateId);
      await host.removeSnapshot(templateId);
      expect((await host.snapshots()).map(({ id }) => id)).not.toContain(templateId);
      expect(await codeOf(host.create(defaultSpec({ kind: 'snapshot', id: templateId })))).toBe(
        'template_not_found',
      );
      await host.pause(child.id);
      await host.resume(child.id);
      expect(await read(child.id, '/tmp/frozen')).toBe('in the snapshot');
      await host.destroy(child.id);
    });

    test('refuses what a state does not allow', async () => {
      for (const call of [host.pause, host.resume, host.guest]) {
        expect(await codeOf(call('cl-unknown'))).toBe('capsule_not_found');
      }
      const { id } = await fresh();
      await host.pause(id);
      expect(await codeOf(host.fork(id, [defaultSpec()]))).toBe('capsule_not_running');
      expect(await codeOf(host.snapshot(id, newId('template')))).toBe('capsule_not_running');
      await host.destroy(id);
    });
  });
}
