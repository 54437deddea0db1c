/** Just enough shell for tests of the surfaces: `;`, `&&`, quotes, `$NAME`, `>&2`, `> file`, `exit N`. */
import type { Command } from './commands.ts';

/** Runs one line; `exited` when it said `exit`. */
export async function runLine(
  command: Command,
  line: string,
  dispatch: (command: Command) => Promise<number>,
): Promise<{ code: number; exited: boolean }> {
  const envs: Record<string, string> = { ...command.envs };
  let code = 0;
  for (const { text, after } of statements(line)) {
    if (after === '&&' && code !== 0) continue;
    const words = tokens(text, envs);
    if (words.length === 0) continue;
    const assignment = words.length === 1 ? words[0]!.match(/^(\w+)=(.*)$/s) : null;
    if (assignment !== null) {
      envs[assignment[1]!] = assignment[2]!;
      continue;
    }
    if (words[0] === 'exit') return { code: Number(words[1] ?? code) & 255, exited: true };
    code = await dispatch(redirected({ ...command, envs }, words));
  }
  return { code, exited: false };
}

/** With `>&2` and `> file` taken out of the words and applied. */
function redirected(command: Command, words: string[]): Command {
  const toStderr = words.indexOf('>&2');
  if (toStderr >= 0) {
    words.splice(toStderr, 1);
    return { ...command, argv: words, out: (data) => command.err(data.toString()) };
  }
  const toFile = words.indexOf('>');
  if (toFile >= 0) {
    const [, file] = words.splice(toFile, 2);
    const path = command.world.files.resolve(file ?? '', command.cwd);
    command.world.files.write(path, Buffer.alloc(0));
    const out = async (data: string | Buffer) => {
      command.world.files.write(path, Buffer.concat([command.world.files.bytes(path), Buffer.from(data)]));
    };
    return { ...command, argv: words, out };
  }
  return { ...command, argv: words };
}

function statements(line: string): { text: string; after: string }[] {
  const found: { text: string; after: string }[] = [];
  let quote = '';
  let text = '';
  let after = ';';
  for (let i = 0; i < line.length; i++) {
    const c = line[i]!;
    if (quote !== '') quote = c === quote ? '' : quote;
    else if (c === '"' || c === "'") quote = c;
    const separator =
      quote === '' ? (line.startsWith('&&', i) ? '&&' : c === ';' || c === '\n' ? ';' : '') : '';
    if (separator === '') {
      text += c;
      continue;
    }
    found.push({ text, after });
    after = separator;
    text = '';
    i += separator.length - 1;
  }
  return [...found, { text, after }];
}

function tokens(text: string, envs: Readonly<Record<string, string>>): string[] {
  const words: string[] = [];
  const expand = (s: string) => s.replaceAll(/\$\{?(\w+)\}?/g, (_, name: string) => envs[name] ?? '');
  for (const [word] of text.matchAll(/>&2|>|(?:'[^']*'|"[^"]*"|[^\s'">])+/g)) {
    const plain = word.replaceAll(/'([^']*)'|"([^"]*)"|([^'"]+)/g, (_, single, double, bare) =>
      single !== undefined ? single : expand(double ?? bare),
    );
    words.push(plain);
  }
  return words;
}
