/** What a person reads on the terminal after a start. Pure; used by main only. */

/**
 * One line for a shell that ends in a command's output inside a capsule: signs up (or logs in, when that was
 * done before), makes a key, creates a capsule, runs `uname -a`. Needs curl and sed only. The password is made
 * up and kept in a file of the person's own, so that pasting it again logs in.
 */
export function tryItLine(url: string): string {
  const field = (name: string) => `sed -n 's/.*"${name}":"\\([^"]*\\)".*/\\1/p'`;
  const post = (path: string, body: string, header = '') =>
    `curl -s ${header}-H 'content-type: application/json' -d '${body}' $A${path}`;
  const account = `{"email":"me@example.com","password":"$P","name":"Me"}`.replaceAll('"', '\\"');
  return [
    `A=${url}; F=~/.aviary-password; [ -s $F ] || (umask 77; head -c 12 /dev/urandom | base64 > $F); P=$(cat $F)`,
    `T=$(for r in signup login; do curl -s -H 'content-type: application/json' -d "${account}" $A/v1/auth/$r; echo; done | ${field('token')} | head -1)`,
    `K=$(${post('/v1/api-keys', '{}', '-H "Authorization: Bearer $T" ')} | ${field('key')})`,
    `C=$(${post('/v1/capsules', '{}', '-H "X-API-Key: $K" ')} | ${field('id')})`,
    post('/v1/capsules/$C/exec', '{"cmd":"uname","args":["-a"]}', '-H "X-API-Key: $K" '),
  ].join('; ');
}

/** The text of a start. `first`: no account exists yet. */
export function greeting({
  url,
  dataDir,
  first,
  host,
}: {
  url: string;
  dataDir: string;
  first: boolean;
  host: string;
}): string {
  if (!first) return `Aviary is ready at ${url} (${host}); state in ${dataDir}\n`;
  return [
    '',
    `Aviary is ready at ${url}`,
    `  documentation  ${url}/docs`,
    `  state          ${dataDir}`,
    `  capsules       ${host}`,
    '',
    'Make the first account (it administers this installation; choose your own password):',
    '',
    `  curl -s -H 'content-type: application/json' -d '{"email":"you@example.com","password":"at least 8 characters","name":"You"}' ${url}/v1/auth/signup`,
    '',
    'Or paste this line: it makes the account me@example.com (its password goes to ~/.aviary-password),\na key and a capsule, and runs a command in it:',
    '',
    tryItLine(url),
    '',
    '',
  ].join('\n');
}
