/**
 * Which Debian mirrors a root file system is built from, and keeps: those this machine uses itself, so that
 * mirrors in closed networks work. Image builder only. Source of the two formats: sources.list(5).
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AviaryError } from '@aviary/kernel';
import { run } from './command.ts';

/**
 * One-line sources of `suite` and its updates; never empty. `etc` is the apt directory, /etc/apt. Error:
 * missing_dependency when the machine has none (another distribution, another release).
 */
export async function hostSources(suite: string, etc = '/etc/apt'): Promise<string[]> {
  const lines = (await sourceFiles(etc)).flatMap((file) =>
    file.name.endsWith('.sources') ? parseStanzas(file.text) : parseLines(file.text),
  );
  const wanted = new Set([suite, `${suite}-updates`, `${suite}-security`]);
  const ours = lines.filter((source) => wanted.has(source.suite) && source.components.includes('main'));
  if (!ours.some((source) => source.suite === suite)) {
    throw new AviaryError(
      'missing_dependency',
      `this machine has no apt source for Debian ${suite}; add a line like "deb MIRROR ${suite} main" in ${etc}/sources.list.d`,
    );
  }
  return [...new Set(ours.map((source) => `deb ${source.uri} ${source.suite} main`))];
}

/** The machine's settings for reaching mirrors (proxies, certificates, clocks of frozen mirrors) as apt options. */
export async function hostAptOptions(): Promise<string[]> {
  const dump = await run(['apt-config', 'dump', '--format', '%F %v%n'], {
    what: "read the machine's apt settings",
  });
  return parseAptOptions(dump);
}

/** Options of the output of `apt-config dump --format '%F %v%n'` that say how to reach a mirror. */
export function parseAptOptions(dump: string): string[] {
  return dump.split('\n').flatMap((line) => {
    const match = /^(Acquire::(?:https?|Check-Valid-Until|Check-Date|Retries)\S*) (.+)$/.exec(line);
    return match === null ? [] : [`${match[1]} "${match[2]}"`];
  });
}

interface Source {
  uri: string;
  suite: string;
  components: string[];
}

async function sourceFiles(etc: string): Promise<{ name: string; text: string }[]> {
  const parts = join(etc, 'sources.list.d');
  const names = await readdir(parts).catch(() => [] as string[]);
  const paths = [
    join(etc, 'sources.list'),
    ...names.filter((name) => /\.(list|sources)$/.test(name)).map((name) => join(parts, name)),
  ];
  const files = [];
  for (const path of paths) {
    // Absent or unreadable files are none of ours: apt itself skips or reports them.
    const text = await readFile(path, 'utf8').catch(() => '');
    files.push({ name: path, text });
  }
  return files;
}

/** `deb [options] URI suite component…` */
function parseLines(text: string): Source[] {
  return text.split('\n').flatMap((line) => {
    const match = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+([^#]+)/.exec(line.trim());
    if (match === null) return [];
    const [, uri = '', suite = '', components = ''] = match;
    return [{ uri, suite, components: components.trim().split(/\s+/) }];
  });
}

/** deb822 stanzas: fields, with continuation lines, separated by empty lines. */
function parseStanzas(text: string): Source[] {
  const unfolded = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .replace(/\n[ \t]+/g, ' ');
  return unfolded.split(/\n\s*\n/).flatMap((stanza) => {
    const field = (name: string) =>
      new RegExp(`^${name}:\\s*(.*)$`, 'im').exec(stanza)?.[1]?.trim().split(/\s+/) ?? [];
    if (!field('Types').includes('deb') || field('Enabled')[0] === 'no') return [];
    return field('URIs').flatMap((uri) =>
      field('Suites').map((suite) => ({ uri, suite, components: field('Components') })),
    );
  });
}
