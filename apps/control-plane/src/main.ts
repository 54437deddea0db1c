/** The control plane's entry: arguments, start, signals. Everything else is wired in compose.ts. */
import { createRevert, isAviaryError, systemClock } from '@aviary/kernel';
import { compose } from './compose.ts';
import { describeSettings, printConfig, readConfig, unknownSettings } from './config.ts';
import { openGate } from './gate.ts';
import { greeting } from './greeting.ts';
import { openLocalHost } from './host.ts';
import { openDataDir } from './instance.ts';
import { localUrl } from './listen.ts';
import { lockDataDir } from './lock.ts';
import { createLogger } from './logger.ts';
import { prepareShutdown } from './shutdown.ts';
import { createSignals, type EndSignal } from './signals.ts';

const HELP = `aviary - a private cloud in one program

  aviary           run it
  aviary config    print every setting, its value and where it comes from
  aviary --help    this text

Settings are environment variables:
${describeSettings()}`;

async function main(args: readonly string[]): Promise<number | null> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(HELP);
    return 0;
  }
  const config = readConfig(process.env);
  if (args.length === 1 && args[0] === 'config') {
    process.stdout.write(printConfig(config, process.env));
    return 0;
  }
  if (args.length > 0) {
    process.stderr.write(`unknown argument ${args[0]}; try --help\n`);
    return 2;
  }
  const log = createLogger(config.log);
  for (const name of unknownSettings(process.env)) log.warn({ name }, 'no setting of this version; ignored');
  const closers = createRevert(log);
  await openDataDir(config.data);
  const lock = await lockDataDir(config.data, { pid: process.pid, since: systemClock.now().toISOString() });
  closers.push('lock', () => lock.release());
  let stopping = false;
  try {
    const gate = await openGate(config.listen);
    const shutdown = prepareShutdown(gate, closers, log);
    const decide = createSignals(systemClock);
    const stop = (signal: EndSignal) => {
      const wish = decide(signal);
      if (wish === 'exit') process.exit(1);
      if (wish === 'ignore') return;
      stopping = true;
      shutdown(starting).then(
        () => process.exit(0),
        () => process.exit(1),
      );
    };
    const starting = compose({
      config,
      gate,
      clock: systemClock,
      log,
      closers,
      openHost: openLocalHost,
      say: (text) => process.stdout.write(`  ${text}\n`),
    });
    process.on('SIGTERM', stop).on('SIGINT', stop).on('SIGHUP', stop);
    const { host, first } = await starting;
    if (stopping) return null;
    const url = localUrl(config.listen, gate.port);
    process.stdout.write(greeting({ url, dataDir: config.data, first, host }));
    return null;
  } catch (error) {
    // told to stop while starting: what failed is the start, and the stop goes on
    if (stopping) return null;
    await closers.run();
    throw error;
  }
}

main(process.argv.slice(2)).then(
  (code) => {
    if (code !== null) process.exitCode = code;
  },
  (error: unknown) => {
    const text =
      isAviaryError(error) || !(error instanceof Error)
        ? String((error as Error).message)
        : (error.stack ?? error.message);
    process.stderr.write(`aviary could not start: ${text}\n`);
    process.exit(1);
  },
);
