/** Who may do what in this area. Roles in a team are checked again against the database inside the command. */
import {
  anyone,
  definePolicy,
  platformAdmin,
  signedIn,
  teamAdmin,
  teamMember,
  teamOwner,
} from './policy-kit.ts';

export const policy = definePolicy({
  'account.signup': anyone,
  'account.login': anyone,
  'account.get': signedIn,
  'account.search': signedIn,
  'account.change_password': signedIn,
  'session.switch_team': signedIn,
  'apikey.create': teamMember,
  'apikey.list': teamMember,
  'apikey.delete': teamMember,
  'team.list': signedIn,
  'team.create': signedIn,
  // a session whose team is gone is told so; membership is checked against the database
  'team.get': signedIn,
  'team.rename': teamAdmin,
  'team.delete': teamOwner,
  'team.list_members': teamMember,
  'team.add_member': teamAdmin,
  'team.set_role': teamAdmin,
  'team.remove_member': teamAdmin,
  'team.leave': teamMember,
  'signing_key.rotate': platformAdmin,
});

/** The area's actions. */
export type IdentityAction = keyof typeof policy.rules;
