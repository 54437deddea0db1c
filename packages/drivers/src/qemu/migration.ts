/**
 * Device state in and out of QEMU, and memory pages in and out of its process. Inside the driver only.
 *
 * Memory is never migrated: a clone maps its template's memory file privately, so only pages it wrote need
 * to be kept (native/pages.c), and the device state is a few kilobytes (`xen-save-devices-state`, which
 * stock QEMU has for every machine). Both are loaded before the first instruction runs.
 */
import { AviaryError } from '@aviary/kernel';
import { run } from '../process/index.ts';
import { STATE_FD } from './launcher.ts';
import type { Qmp } from './qmp.ts';

/** Writes the state of all devices of a stopped machine to `path`, as QEMU sees it. */
export async function saveDevices(qmp: Qmp, path: string): Promise<void> {
  await qmp.execute('xen-save-devices-state', { filename: path, live: true });
}

/** Loads the device state that the process was started with; the machine stays stopped. */
export async function loadDevices(qmp: Qmp): Promise<void> {
  await qmp.execute('migrate-incoming', { uri: `fd:${STATE_FD}` });
  for (;;) {
    const { status, 'error-desc': why } = (await qmp.execute('query-migrate')) as {
      status?: string;
      'error-desc'?: string;
    };
    if (status === 'completed') return;
    if (status === 'failed' || status === 'cancelled') {
      throw new AviaryError('internal', `QEMU could not load the saved state: ${why ?? status}`);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Copies the pages that a stopped machine wrote to `out`, whole and synced; bytes written. */
export async function dumpPages(
  hostTool: string,
  pid: number,
  memoryFile: string,
  out: string,
): Promise<number> {
  const { stdout } = await run(hostTool, ['pages-dump', String(pid), memoryFile, out]);
  return Number(stdout);
}

/** Puts dumped pages into a machine that has not started. */
export async function loadPages(
  hostTool: string,
  pid: number,
  memoryFile: string,
  pages: string,
): Promise<void> {
  await run(hostTool, ['pages-load', String(pid), memoryFile, pages]);
}

/** A memory file of its own: `base` with the pages applied. */
export async function applyPages(hostTool: string, base: string, pages: string, out: string): Promise<void> {
  await run(hostTool, ['pages-apply', base, pages, out], { timeoutMs: 600_000 });
}
