/** wrenn's capsule life-cycle operations, with fork and timeout of ours. */
import type { CapsuleStatus, Capsules } from '@aviary/domain/capsules';
import { invalidField } from '@aviary/kernel';
import { http, refuseUnstorable } from '../../kit/index.ts';
import { fromNewCapsule, toCapsule } from '../translate.ts';
import type { CreateCapsuleRequest } from '../wire.ts';

const TEAM = { who: 'team' } as const;

export const capsuleOperations = (capsules: Capsules) => ({
  createCapsule: http<CreateCapsuleRequest>({
    access: TEAM,
    handle: async ({ actor, body }) => toCapsule(await capsules.create(actor, fromNewCapsule(body))),
  }),
  listCapsules: http({
    access: TEAM,
    handle: async ({ actor, query, request, reply }) => {
      const page = await capsules.list(actor, {
        limit: query['limit'] as number | undefined,
        cursor: query['cursor'] as string | undefined,
        status: query['status'] as CapsuleStatus | undefined,
        template: query['template'] as string | undefined,
        metadata: labels(query['metadata'] as string | undefined),
      });
      if (page.nextCursor !== null) {
        reply.header('x-next-cursor', page.nextCursor);
        reply.header('link', `<${nextPage(request.url, page.nextCursor)}>; rel="next"`);
      }
      return page.capsules.map(toCapsule);
    },
  }),
  getCapsule: http({
    access: TEAM,
    handle: async ({ actor, params }) => toCapsule(await capsules.get(actor, params['id']!)),
  }),
  destroyCapsule: http({
    access: TEAM,
    handle: ({ actor, params }) => capsules.destroy(actor, params['id']!),
  }),
  pingCapsule: http({
    access: TEAM,
    handle: ({ actor, params }) => capsules.ping(actor, params['id']!),
  }),
  pauseCapsule: http({
    access: TEAM,
    handle: async ({ actor, params }) => toCapsule(await capsules.pause(actor, params['id']!)),
  }),
  resumeCapsule: http({
    access: TEAM,
    handle: async ({ actor, params }) => toCapsule(await capsules.resume(actor, params['id']!)),
  }),
  forkCapsule: http<{ count?: number }>({
    access: TEAM,
    handle: async ({ actor, params, body: { count } }) =>
      (await capsules.fork(actor, params['id']!, count ?? 1)).map(toCapsule),
  }),
  setCapsuleTimeout: http<{ timeout_sec: number }>({
    access: TEAM,
    handle: async ({ actor, params, body }) =>
      toCapsule(await capsules.setTimeout(actor, params['id']!, body.timeout_sec)),
  }),
});

/** `a=b&c=d` as pairs; undefined when absent. */
function labels(text: string | undefined): Record<string, string> | undefined {
  if (text === undefined) return undefined;
  const pairs = [...new URLSearchParams(text)];
  if (pairs.some(([key]) => key === '')) throw invalidField('metadata', 'write it as key=value&key=value');
  const found = Object.fromEntries(pairs);
  refuseUnstorable(found, 'metadata');
  return found;
}

/** The same request with the next cursor, as a relative reference (RFC 8288). */
function nextPage(url: string, cursor: string): string {
  const [path, search] = url.split('?', 2);
  const query = new URLSearchParams(search);
  query.set('cursor', cursor);
  return `${path}?${query}`;
}
