/** Reads the settings from the environment and prints them with their source. */
import { AviaryError } from '@aviary/kernel';
import { type Config, SETTINGS, type Setting, type SettingName } from './settings.ts';

const names = Object.keys(SETTINGS) as SettingName[];
const settingOf = (name: SettingName) => SETTINGS[name] as Setting<unknown>;

/** All settings, parsed. Errors: invalid_request with one sentence that names every wrong variable. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const problems: string[] = [];
  const values = names.map((name) => {
    const { env: variable, fallback, parse } = settingOf(name);
    const text = env[variable];
    if (text === undefined || text === '') return [name, fallback()];
    try {
      return [name, parse(text)];
    } catch (error) {
      problems.push(`${variable} ${(error as Error).message}`);
      return [name, fallback()];
    }
  });
  if (problems.length > 0) throw new AviaryError('invalid_request', problems.join('; '));
  return Object.fromEntries(values) as Config;
}

/** AVIARY_ variables that nothing reads: a misspelt one should be seen. */
export function unknownSettings(env: NodeJS.ProcessEnv): string[] {
  return Object.keys(env).filter(
    (name) => name.startsWith('AVIARY_') && !names.some((known) => SETTINGS[known].env === name),
  );
}

/** One line per setting: variable, value, where it came from. Secrets are masked. */
export function printConfig(config: Config, env: NodeJS.ProcessEnv): string {
  const rows = names.map((name) => {
    const { env: variable, show } = settingOf(name);
    const value = config[name];
    const source = env[variable] === undefined || env[variable] === '' ? 'default' : 'environment';
    return [variable, show === undefined ? String(value) : show(value), source];
  });
  const width = (column: number) => Math.max(...rows.map((row) => row[column]!.length));
  const [first, second] = [width(0), width(1)];
  return rows.map(([a, b, c]) => `${a!.padEnd(first)}  ${b!.padEnd(second)}  (${c})\n`).join('');
}

/** The settings as help text. */
export function describeSettings(): string {
  const shown = (name: SettingName) => {
    const { show, fallback } = settingOf(name);
    const value = fallback();
    return show === undefined ? String(value) : show(value);
  };
  return names
    .map((name) => `  ${SETTINGS[name].env}\n      ${SETTINGS[name].help}\n      default: ${shown(name)}\n`)
    .join('');
}
