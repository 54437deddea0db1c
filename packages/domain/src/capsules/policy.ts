/** Who may do what with capsules and templates: every member of the team, and its API keys. */
import { definePolicy, teamMemberOrKey } from '../identity/index.ts';

export const policy = definePolicy({
  'capsule.create': teamMemberOrKey,
  'capsule.get': teamMemberOrKey,
  'capsule.list': teamMemberOrKey,
  'capsule.destroy': teamMemberOrKey,
  'capsule.ping': teamMemberOrKey,
  'capsule.set_timeout': teamMemberOrKey,
  'capsule.pause': teamMemberOrKey,
  'capsule.resume': teamMemberOrKey,
  'capsule.fork': teamMemberOrKey,
  'capsule.use': teamMemberOrKey,
  'template.create': teamMemberOrKey,
  'template.list': teamMemberOrKey,
  'template.delete': teamMemberOrKey,
});

/** The area's actions. */
export type CapsuleAction = keyof typeof policy.rules;
