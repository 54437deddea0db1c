/** Replays the published wrenn contract: every served operation, every documented answer, strict schemas. */

import { operationsOf } from '@aviary/surfaces/kit';
import { DOCUMENT, NOT_SERVED, PUBLISHED } from '@aviary/surfaces/wrenn';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createClient } from './client.ts';
import { startInstance } from './instance.ts';
import { makeKey, signUp } from './people.ts';
import { accountCases } from './wrenn/accounts.ts';
import { capsuleCases } from './wrenn/capsules.ts';
import { execCases } from './wrenn/exec.ts';
import { fileCases } from './wrenn/files.ts';
import type { Scene } from './wrenn/scene.ts';
import { socketCases } from './wrenn/sockets.ts';

const scene = {} as Scene;

beforeAll(async () => {
  scene.instance = await startInstance();
  scene.client = createClient(scene.instance.url, DOCUMENT);
  scene.owner = await signUp(scene.client, 'owner');
  scene.key = await makeKey(scene.client, scene.owner.token);
  scene.strangerKey = await makeKey(scene.client, (await signUp(scene.client, 'stranger')).token);
});
afterAll(() => scene.instance?.stop());

describe('accounts and teams', () => accountCases(scene));
describe('capsules and snapshots', () => capsuleCases(scene));
describe('exec and processes', () => execCases(scene));
describe('files', () => fileCases(scene));
describe('WebSockets', () => socketCases(scene));

describe('the whole', () => {
  it('serves every operation of the contract but those it says it does not', () => {
    const published = operationsOf(PUBLISHED).map(({ id }) => id);
    const served = new Set(scene.instance.routes.map(({ located }) => located.id));
    expect(published.filter((id) => !served.has(id)).sort()).toEqual([...NOT_SERVED].sort());
  });

  it('describes exactly what it serves', async () => {
    const response = await fetch(`${scene.instance.url}/openapi.json`);
    const described = operationsOf((await response.json()) as typeof PUBLISHED).map(({ id }) => id);
    expect(described.sort()).toEqual(scene.instance.routes.map(({ located }) => located.id).sort());
  });

  it('has shown every answer that is documented for them', () => {
    const served = new Set(scene.instance.routes.map(({ located }) => located.id));
    const documented = operationsOf(DOCUMENT)
      .filter(({ id }) => served.has(id))
      .flatMap(({ id, operation }) => Object.keys(operation.responses).map((status) => `${id} ${status}`));
    expect(documented.filter((pair) => !scene.client.seen.has(pair))).toEqual([]);
  });

  it('logged no bug', () => {
    expect(scene.instance.bugs).toEqual([]);
  });
});
