/** The end of a process that was started earlier, perhaps by another process of ours. Inside the driver only. */
import { processStartTime } from './launcher.ts';

/** Ends a process if it still is the one that was started. */
export async function killProcess(pid: number, startTime: string): Promise<void> {
  if ((await processStartTime(pid)) !== startTime) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
  await waitForEnd(pid, startTime);
}

/** Resolves when the process is gone; it was told to end, so this takes milliseconds. */
export async function waitForEnd(pid: number, startTime: string): Promise<void> {
  while ((await processStartTime(pid)) === startTime) await new Promise((resolve) => setTimeout(resolve, 2));
}
