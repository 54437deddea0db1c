/** A new capsule: placed and recorded in one transaction, made by an operation that runs at once. */
import { transaction } from '@aviary/db';
import { AviaryError, newId } from '@aviary/kernel';
import type { CapsuleSpec, TemplateRef } from '@aviary/protocol';
import { type Actor, actorRef } from '../../identity/index.ts';
import { authorize, type Parts, recordAudit, recordEvent } from '../deps.ts';
import { hostOf } from '../host.ts';
import { parseEnvs, parseMetadata, parseNumber, parseTemplateName, parseUser } from '../input.ts';
import { BASE_TEMPLATES, type Capsule, type CreateCapsule, DEFAULTS, type Template } from '../model.ts';
import { getTemplate, HOST_IP } from '../queries.ts';
import { CREATE, madeOf } from '../steps/create.ts';
import { insertCapsules } from '../store.ts';

export async function createCapsule(parts: Parts, actor: Actor, order: CreateCapsule): Promise<Capsule> {
  const { db, operations, hosts, clock } = parts;
  const teamId = await authorize(parts, actor, 'capsule.create');
  if (teamId === null) throw new AviaryError('forbidden', 'capsules belong to a team');
  const spec = parse(order);
  const template =
    baseTemplate(spec.templateName) ?? (await getTemplate(db.kysely, teamId, spec.templateName));
  const sizes = sizesOf(template, spec);
  const templateRef: TemplateRef =
    template.type === 'base' ? { kind: 'base', name: template.name } : { kind: 'snapshot', id: template.id };
  const id = newId('capsule', parts.random);

  const { queued, capsule } = await transaction(db.kysely, async (trx) => {
    const where = template.hostId === null ? {} : { hostId: template.hostId };
    const { hostId } = await hosts.reserve(trx, { subject: id, teamId, ...sizes, ...where });
    const now = clock.now();
    const prepared = hostOf(parts, { hostId }).isPrepared(templateRef, sizes.vcpus, sizes.memoryMb);
    const capsule: Capsule = {
      id,
      teamId,
      hostId,
      status: prepared ? 'starting' : 'pending',
      statusReason: prepared
        ? null
        : `${template.name} is being prepared for this size; the next one will not wait`,
      transition: 'creating',
      template: template.name,
      templateRef,
      ...sizes,
      timeoutSec: spec.timeoutSec,
      metadata: spec.metadata,
      user: spec.user,
      guestIp: '',
      hostIp: HOST_IP,
      createdAt: now,
      startedAt: null,
      lastActiveAt: null,
      updatedAt: now,
    };
    await insertCapsules(trx, [capsule], actorRef(actor).id);
    await recordAudit(parts, trx, actor, 'capsule.create', capsule);
    const { vcpus, memoryMb } = sizes;
    await recordEvent(parts, trx, actorRef(actor), capsule, 'capsule.created', {
      template: template.name,
      vcpus,
      memoryMb,
      hostId,
    });
    const input = { actor: { ...actorRef(actor) }, hostId };
    return { capsule, queued: await operations.enqueue(trx, { kind: CREATE, subject: id, teamId, input }) };
  });
  const ordered: CapsuleSpec = { id, template: templateRef, ...sizes, envs: spec.envs, user: spec.user };
  parts.orders.set(queued.id, ordered);
  try {
    const made = madeOf(await operations.run(queued));
    return { ...capsule, ...made, status: 'running', statusReason: null, transition: null };
  } finally {
    parts.orders.delete(queued.id);
  }
}

/** Bases are the same for everybody, so nobody has to look them up; their names cannot be taken. */
function baseTemplate(name: string):
  | (Pick<Template, 'type' | 'id' | 'name' | 'vcpus' | 'memoryMb' | 'diskMb'> & {
      hostId: null;
    })
  | null {
  if (!(BASE_TEMPLATES as readonly string[]).includes(name)) return null;
  return { type: 'base', id: name, name, vcpus: null, memoryMb: null, diskMb: null, hostId: null };
}

function parse(order: CreateCapsule) {
  return {
    templateName: parseTemplateName('template', order.template ?? DEFAULTS.template),
    vcpus: parseNumber('vcpus', order.vcpus, DEFAULTS.vcpus),
    memoryMb: parseNumber('memoryMb', order.memoryMb, DEFAULTS.memoryMb),
    diskMb: order.diskMb === undefined ? null : parseNumber('diskMb', order.diskMb, DEFAULTS.diskMb),
    timeoutSec: parseNumber('timeoutSec', order.timeoutSec, DEFAULTS.timeoutSec),
    envs: parseEnvs(order.envs ?? {}),
    metadata: parseMetadata(order.metadata ?? {}),
    user: parseUser(order.user ?? DEFAULTS.user),
  };
}

/** A snapshot fixes processors and memory, and its disk can only grow. */
function sizesOf(
  template: Pick<Template, 'name' | 'vcpus' | 'memoryMb' | 'diskMb'>,
  spec: ReturnType<typeof parse>,
) {
  const least = template.diskMb ?? DEFAULTS.diskMb;
  if (spec.diskMb !== null && spec.diskMb < least) {
    throw new AviaryError('invalid_request', `disk_mb: ${template.name} needs at least ${least}`, {
      details: { field: 'disk_mb' },
    });
  }
  return {
    vcpus: template.vcpus ?? spec.vcpus,
    memoryMb: template.memoryMb ?? spec.memoryMb,
    diskMb: spec.diskMb ?? least,
  };
}
