/** Every declared route, WebSockets too, as everybody: what happens is what the declaration says. */
import type { Access } from '@aviary/surfaces/kit';
import { DOCUMENT } from '@aviary/surfaces/wrenn';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { assemble, type Cast, type Company, gather, ROLES, type Role } from './cast.ts';
import { type Client, createClient, headersOf } from './client.ts';
import { type Instance, startInstance } from './instance.ts';
import { namesObject, SAMPLES } from './samples.ts';
import { connect } from './sockets.ts';

let instance: Instance;
let client: Client;
let company: Company;
beforeAll(async () => {
  instance = await startInstance();
  client = createClient(instance.url, DOCUMENT);
  company = await gather(client);
});
afterAll(() => instance?.stop());

const RANK: Partial<Record<Role, number>> = { member: 1, admin: 2, owner: 3, teamKey: 1 };
const NEEDED = { member: 1, admin: 2, owner: 3 } as const;
/** Rules of single operations beyond roles, as the contract documents them. */
const EXCEPTIONS: Record<string, number> = {
  // "The owner cannot leave; they must delete the team instead."
  'leaveTeam owner': 403,
};

/** What the declaration promises: a refusal's status (or several), or `admitted`. */
function promised(access: Access, role: Role, id: string, path: string): number | number[] | 'admitted' {
  const exception = EXCEPTIONS[`${id} ${role}`];
  if (exception !== undefined) return exception;
  if (access.who === 'anyone') return 'admitted';
  if (role === 'nobody') return 401;
  if (access.who === 'account' && (role === 'teamKey' || role === 'strangerKey')) return 401;
  if (role === 'stranger' || role === 'strangerKey') {
    if (!namesObject(id, path)) return 'admitted';
    // teams say 403 (documented: the session is for another team), everything else does not exist
    return path.startsWith('/v1/teams/') ? 403 : 404;
  }
  return RANK[role]! >= NEEDED[access.role ?? 'member'] ? 'admitted' : 403;
}

async function happened(
  id: keyof typeof SAMPLES,
  isSocket: boolean,
  cast: Cast,
  role: Role,
): Promise<number> {
  const request = SAMPLES[id](cast, role);
  const credential = cast.credentials[role];
  if (!isSocket) return (await client.call(id, { ...request, as: credential })).status;
  try {
    const socket = await connect(instance.url + client.pathOf(id, request.params), headersOf(credential));
    if (credential !== null) {
      socket.close();
      return 101;
    }
    // without a header the credential may come as first message: anything else is refused
    socket.send({ type: 'start', cmd: 'true' });
    const answer = await socket.next(({ type }) => type === 'error');
    return answer['code'] === 'unauthorized' ? 401 : 101;
  } catch (error) {
    return (error as { status: number }).status;
  }
}

it('does for everybody what each route declares', async () => {
  const differences: string[] = [];
  let walked = 0;
  for (const { surface, located, declared } of instance.routes) {
    if (surface !== 'wrenn') continue;
    const cast = await assemble(client, company);
    const id = located.id as keyof typeof SAMPLES;
    if (SAMPLES[id] === undefined) throw new Error(`no sample request for ${id}`);
    for (const role of ROLES) {
      const expected = promised(declared.access, role, id, located.path);
      const status = await happened(id, declared.kind === 'socket', cast, role);
      const fine =
        expected === 'admitted'
          ? status !== 401 && status !== 403 && status < 500
          : [expected].flat().includes(status);
      if (!fine) differences.push(`${id} as ${role}: ${status} instead of ${expected}`);
      walked++;
    }
  }
  expect(differences).toEqual([]);
  expect(walked).toBe(Object.keys(SAMPLES).length * ROLES.length);
  expect(instance.bugs).toEqual([]);
});

it('serves its own routes without credential, and says why', async () => {
  const own = instance.routes.filter(({ surface }) => surface === 'operations');
  expect(own.length).toBeGreaterThan(4);
  for (const { located, declared } of own) {
    expect(declared.access).toEqual({ who: 'anyone', because: expect.stringMatching(/.{10}/) });
    const response = await fetch(instance.url + located.path.replace('{file}', 'page.css'), {
      redirect: 'manual',
    });
    expect(response.status).toBeLessThan(400);
    await response.arrayBuffer();
  }
});
