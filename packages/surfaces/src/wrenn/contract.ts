/** The published wrenn contract with our additions, and which of its operations this version serves. */
import {
  extendDocument,
  type OpenApiDocument,
  type Operation,
  operationsOf,
  readDocument,
} from '../kit/index.ts';
import { extension } from './extensions.ts';

/** contracts/wrenn.openapi.yaml as published; tests replay it. */
export const PUBLISHED = readDocument(new URL('../../../../contracts/wrenn.openapi.yaml', import.meta.url));

/** Published and additions. */
export const DOCUMENT = withTokens(extendDocument(PUBLISHED, extension));

/** Where the contract asks for an API key, the token of an account in the team is good as well. */
function withTokens(document: OpenApiDocument): OpenApiDocument {
  for (const { operation } of operationsOf(document)) {
    const accepted = operation.security?.flatMap((scheme) => Object.keys(scheme as object)) ?? [];
    if (accepted.includes('apiKeyAuth') && !accepted.includes('bearerAuth')) {
      operation.security = [...(operation.security ?? []), { bearerAuth: [] }];
    }
  }
  return document;
}

/** Operations of the contract this version serves, by area. */
export type ServedId =
  | 'signup'
  | 'login'
  | 'switchTeam'
  | 'createAPIKey'
  | 'listAPIKeys'
  | 'deleteAPIKey'
  | 'searchUsers'
  | 'listTeams'
  | 'createTeam'
  | 'getTeam'
  | 'renameTeam'
  | 'deleteTeam'
  | 'listTeamMembers'
  | 'addTeamMember'
  | 'updateMemberRole'
  | 'removeTeamMember'
  | 'leaveTeam'
  | 'createCapsule'
  | 'listCapsules'
  | 'getCapsule'
  | 'destroyCapsule'
  | 'pingCapsule'
  | 'pauseCapsule'
  | 'resumeCapsule'
  | 'forkCapsule'
  | 'setCapsuleTimeout'
  | 'execCommand'
  | 'execStream'
  | 'listProcesses'
  | 'killProcess'
  | 'connectProcess'
  | 'ptySession'
  | 'createSnapshot'
  | 'listSnapshots'
  | 'deleteSnapshot'
  | 'uploadFile'
  | 'downloadFile'
  | 'listDir'
  | 'makeDir'
  | 'removePath'
  | 'streamUploadFile'
  | 'streamDownloadFile';

/** Operations of the contract that this version does not serve: absent from GET /openapi.json. */
export const NOT_SERVED = [
  'oauthRedirect',
  'oauthCallback',
  'getCapsuleStats',
  'getCapsuleMetrics',
  'createHost',
  'listHosts',
  'getHost',
  'deleteHost',
  'regenerateHostToken',
  'registerHost',
  'hostHeartbeat',
  'refreshHostToken',
  'getHostDeletePreview',
  'listHostTags',
  'addHostTag',
  'removeHostTag',
  'createChannel',
  'listChannels',
  'testChannel',
  'getChannel',
  'updateChannel',
  'deleteChannel',
  'rotateChannelConfig',
] as const;

/** One declaration per served operation; leaving one out does not compile. */
export type WrennOperations = Readonly<Record<ServedId, Operation>>;
