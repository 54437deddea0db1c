/**
 * The network that capsules go out through. All QEMU processes of this host share one network namespace
 * with one way out; each guest has a user network of its own inside its QEMU, so guests never see each
 * other. The rules here let them reach the internet and nothing else: not the host, not private networks,
 * not link-local or metadata addresses, not loopback. Why one namespace: docs/decisions/0003.
 * Inside the driver only; needs root.
 */
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { AviaryError, type Logger } from '@aviary/kernel';
import { run } from '../process/index.ts';

/** Never reachable from a capsule: special-purpose addresses (IANA registry, RFC 6890) that are not public. */
export const BLOCKED_NETWORKS = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/4',
  '240.0.0.0/4',
] as const;

/** Asked when the machine's own name servers cannot be reached from another namespace (loopback only). */
const PUBLIC_RESOLVERS = ['1.1.1.1', '9.9.9.9'];

export interface Egress {
  /** Path of the namespace, for setns. */
  netns: string;
  /** Content of resolv.conf for QEMU, which forwards the guest's questions to its first server. */
  resolvConf: string;
  /** Takes everything away again; only when no capsule runs. */
  remove(): Promise<void>;
}

/** Makes the namespace and its rules, or brings them up to date. `name` is at most 10 characters. */
export async function openEgress(name: string, log: Logger): Promise<Egress> {
  const namespace = `aviary-${name}`;
  const netns = `/run/netns/${namespace}`;
  const resolvers = await usableResolvers();
  if (!existsSync(netns)) await connectNamespace(name, namespace);
  const { host, inside } = await addresses(name, namespace);
  await run('nft', ['-f', '-'], { input: hostRules(name, inside, resolvers) });
  await run('ip', ['netns', 'exec', namespace, 'nft', '-f', '-'], { input: namespaceRules(host, resolvers) });
  await writeFile('/proc/sys/net/ipv4/ip_forward', '1');
  await passForwardPolicy(name, log);
  return {
    netns,
    resolvConf: resolvers.map((server) => `nameserver ${server}\n`).join(''),
    remove: async () => {
      await run('ip', ['netns', 'delete', namespace]);
      await run('nft', ['delete', 'table', 'inet', `aviary_${name}`]);
      await removeForwardPolicy(name);
    },
  };
}

/** Links the new namespace to the host by a veth pair in a free /30 of 10.213.0.0/16. */
async function connectNamespace(name: string, namespace: string): Promise<void> {
  const taken = (await run('ip', ['-4', '-o', 'addr', 'show'])).stdout;
  const block = [...Array(16384).keys()].find((n) => !taken.includes(` ${address(n, 1)}/`));
  if (block === undefined)
    throw new AviaryError('capacity_exceeded', 'no free network of 10.213.0.0/16 is left');
  const inNamespace = (args: string[]) => run('ip', ['-n', namespace, ...args]);
  await run('ip', ['netns', 'add', namespace]);
  try {
    await run('ip', ['link', 'add', `av-${name}`, 'type', 'veth', 'peer', 'name', 'out', 'netns', namespace]);
    await run('ip', ['addr', 'add', `${address(block, 1)}/30`, 'dev', `av-${name}`]);
    await run('ip', ['link', 'set', `av-${name}`, 'up']);
    await inNamespace(['addr', 'add', `${address(block, 2)}/30`, 'dev', 'out']);
    await inNamespace(['link', 'set', 'out', 'up']);
    await inNamespace(['link', 'set', 'lo', 'up']);
    await inNamespace(['route', 'add', 'default', 'via', address(block, 1)]);
  } catch (error) {
    await run('ip', ['netns', 'delete', namespace]);
    throw error;
  }
}

function address(block: number, host: number): string {
  return `10.213.${block >> 6}.${((block & 63) << 2) + host}`;
}

async function addresses(name: string, namespace: string): Promise<{ host: string; inside: string }> {
  const first = (text: string, what: string) => {
    const match = /inet (\d+\.\d+\.\d+\.\d+)\//.exec(text);
    if (!match) throw new AviaryError('internal', `${what} has no address; remove it and start again`);
    return match[1]!;
  };
  const outer = await run('ip', ['-4', '-o', 'addr', 'show', 'dev', `av-${name}`]);
  const inner = await run('ip', ['-n', namespace, '-4', '-o', 'addr', 'show', 'dev', 'out']);
  return { host: first(outer.stdout, `av-${name}`), inside: first(inner.stdout, 'out') };
}

/** On the host: only forwarding to public addresses and DNS to the machine's resolvers. */
function hostRules(name: string, inside: string, resolvers: readonly string[]): string {
  const link = `av-${name}`;
  return `
table inet aviary_${name} {
}
delete table inet aviary_${name}
table inet aviary_${name} {
  chain incoming {
    type filter hook input priority filter - 5; policy accept;
    iifname "${link}" ip daddr { ${resolvers.join(', ')} } meta l4proto { tcp, udp } th dport 53 accept
    iifname "${link}" ct state established,related accept
    iifname "${link}" meta l4proto tcp reject with tcp reset
    iifname "${link}" drop
  }
  chain passing {
    type filter hook forward priority filter - 5; policy accept;
    iifname "${link}" ip daddr { ${resolvers.join(', ')} } meta l4proto { tcp, udp } th dport 53 accept
    iifname "${link}" ip daddr { ${BLOCKED_NETWORKS.join(', ')} } drop
    iifname "${link}" meta nfproto ipv6 drop
    oifname "${link}" ct state established,related accept
    oifname "${link}" drop
  }
  chain translated {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${inside} oifname != "${link}" masquerade
  }
}
`;
}

/** In the namespace: the same again where QEMU's own packets start, with a prompt refusal for the guest. */
function namespaceRules(host: string, resolvers: readonly string[]): string {
  return `
flush ruleset
table inet aviary {
  chain outgoing {
    type filter hook output priority filter; policy accept;
    ct state established,related accept
    meta nfproto ipv6 drop
    ip daddr { ${resolvers.join(', ')} } meta l4proto { tcp, udp } th dport 53 accept
    oifname "lo" meta l4proto tcp reject with tcp reset
    oifname "lo" reject with icmp type admin-prohibited
    ip daddr { ${[...BLOCKED_NETWORKS, host].join(', ')} } meta l4proto tcp reject with tcp reset
    ip daddr { ${[...BLOCKED_NETWORKS, host].join(', ')} } reject with icmp type admin-prohibited
  }
  chain incoming {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    ip saddr ${host} icmp type { destination-unreachable, time-exceeded } accept
  }
}
`;
}

/** The machine's name servers that another namespace can ask, IPv4. */
async function usableResolvers(): Promise<string[]> {
  for (const path of ['/run/systemd/resolve/resolv.conf', '/etc/resolv.conf']) {
    if (!existsSync(path)) continue;
    const servers = [...(await readFile(path, 'utf8')).matchAll(/^\s*nameserver\s+(\S+)/gm)]
      .map((match) => match[1]!)
      .filter((server) => isIPv4(server) && !server.startsWith('127.') && server !== '0.0.0.0');
    if (servers.length > 0) return servers.slice(0, 3);
  }
  return PUBLIC_RESOLVERS;
}

/** Docker and some firewalls set iptables' FORWARD policy to drop, which no rule of ours can overrule. */
async function passForwardPolicy(name: string, log: Logger): Promise<void> {
  if (!existsSync('/usr/sbin/iptables') && !existsSync('/sbin/iptables')) return;
  const { stdout } = await run('iptables', ['-S', 'FORWARD']);
  if (!stdout.includes('-P FORWARD DROP') || stdout.includes(`av-${name} `)) return;
  log.info({ link: `av-${name}` }, 'the FORWARD policy is drop: letting capsules through');
  await run('iptables', ['-I', 'FORWARD', '-i', `av-${name}`, '-j', 'ACCEPT']);
  await run('iptables', ['-I', 'FORWARD', '-o', `av-${name}`, '-j', 'ACCEPT']);
}

async function removeForwardPolicy(name: string): Promise<void> {
  if (!existsSync('/usr/sbin/iptables') && !existsSync('/sbin/iptables')) return;
  const { stdout } = await run('iptables', ['-S', 'FORWARD']);
  for (const flag of ['-i', '-o']) {
    if (stdout.includes(`${flag} av-${name} `))
      await run('iptables', ['-D', 'FORWARD', flag, `av-${name}`, '-j', 'ACCEPT']);
  }
}
