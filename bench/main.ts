/**
 * `npm run bench`: capsules beside Docker in the same run; prints one table with median and p95. With `-- --write`
 * it also goes to docs/benchmarks.md; `-- --rounds N` changes how often each is done (default 30).
 */
import { writeFile } from 'node:fs/promises';
import { arch, cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measureCapsules } from './capsules.ts';
import { IMAGE, startDocker } from './docker.ts';
import { percentile, type Samples, sample, timed } from './stats.ts';

const { values } = parseArgs({
  options: { write: { type: 'boolean' }, rounds: { type: 'string', default: '30' } },
});
const rounds = Number(values.rounds);
const say = (text: string) => console.error(`measuring: ${text}`);

say('docker run, docker exec');
const peer = await startDocker();
const runs = await sample(rounds, () => timed(() => peer.docker('run', '--rm', IMAGE, '/bin/echo', 'hello')));
const burst = await sample(3, () =>
  timed(() => Promise.all(Array.from({ length: 20 }, () => peer.docker('run', '--rm', IMAGE, '/bin/true')))),
);
const container = (await peer.docker('run', '-d', IMAGE, '/bin/sleep', '3600')).trim();
const execs = await sample(rounds, () => timed(() => peer.docker('exec', container, '/bin/echo', 'hello')));
await peer.docker('rm', '-f', container);
const { version } = peer;
await peer.close();

const figures = await measureCapsules(rounds, say);

const shown = (samples: Samples, unit = 'ms') =>
  `${percentile(samples, 0.5).toFixed(1)} / ${percentile(samples, 0.95).toFixed(1)} ${unit}`;
const rows = [
  ['what', 'Aviary, median / p95', 'target', 'beside', 'median / p95'],
  ['create to first output, warm pool', shown(figures.warm), '20 / 40 ms', 'docker run --rm', shown(runs)],
  ['create to first output, empty pool', shown(figures.cold), '150 ms', 'docker run --rm', shown(runs)],
  [
    '20 created at once, all answered',
    shown(figures.burst),
    '2,000 ms',
    '20 docker runs at once',
    shown(burst),
  ],
  ['exec round trip', shown(figures.exec), '8 ms', 'docker exec', shown(execs)],
  ['pause, 20 MB dirty', shown(figures.pause), '40 ms', '', ''],
  ['resume to first output, 20 MB dirty', shown(figures.resume), '120 ms', '', ''],
  ['fork into one running child, 20 MB dirty', shown(figures.fork), '', '', ''],
  ['destroy', shown(figures.destroy), '', '', ''],
  ['memory per idle clone (PSS)', shown(figures.pssMb, 'MB'), '45 MB', '', ''],
];
const table = rows
  .map((row, n) => `| ${row.join(' | ')} |${n === 0 ? `\n|${' --- |'.repeat(row.length)}` : ''}`)
  .join('\n');
const machine = `${cpus().length} cores (${cpus()[0]?.model.trim()}), ${Math.round(totalmem() / 2 ** 30)} GiB, ${arch()}, Node ${process.versions.node}, Docker ${version}`;
console.log(`${table}\n\n${machine}; ${rounds} rounds; ${new Date().toISOString().slice(0, 10)}`);

if (values.write) {
  const page = `# Benchmarks

Measured by \`npm run bench -- --write\` over HTTP on the machine itself, client, Aviary and capsules sharing its cores.
Aviary: Debian capsules with a kernel of their own, under the acceleration that the machine has. Docker: a busybox
container on the same kernel, through its command line. Network time is zero for both.

${table}

Machine: ${machine}. ${rounds} rounds of each. ${new Date().toISOString().slice(0, 10)}.

"Create to first output" is \`POST /v1/capsules\` plus \`POST …/exec\` of \`echo hello\`, both answered, one after the other.
The pool was full before each round with a warm pool, and turned off for the rounds without.

## What misses its target, and why

Resume to the first output: a resumed capsule is a new QEMU process, and under emulation a new process has translated
nothing yet. Most of the time goes into that: starting QEMU, telling the guest who it is, and above all the first command,
which is slow in every process that has not run one (the same as with an empty pool). The saved pages themselves are put
back in a few milliseconds. Hardware virtualisation removes it; without it, keeping the stopped process of a paused capsule
for a while would, at the price of its memory.
`;
  await writeFile(fileURLToPath(new URL('../docs/benchmarks.md', import.meta.url)), page);
}
