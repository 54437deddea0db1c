/** wrenn's file operations: buffered and streaming reads and writes, list, mkdir, remove. */
import type { Capsules } from '@aviary/domain/capsules';
import { invalidField } from '@aviary/kernel';
import { type Call, guestPath, http, receiveUpload, type UploadLimits } from '../../kit/index.ts';
import { toFile } from '../translate.ts';
import type { ListDirRequest, PathRequest } from '../wire.ts';

const TEAM = { who: 'team' } as const;
/** Bytes a buffered upload may have (the contract's 413). */
const BUFFERED_LIMIT = 100 * 1024 * 1024;
const MAX_DEPTH = 64;

export const fileOperations = (capsules: Capsules) => {
  const upload = ({ actor, params, request }: Call, limits: UploadLimits) =>
    capsules.use(actor, params['id']!, async (guest) => {
      await receiveUpload(request, limits, (path, body) => guest.writeFile(path, body));
    });

  const download = ({ actor, params, body, reply, gone }: Call<PathRequest>) =>
    capsules.use(actor, params['id']!, async (guest) => {
      const { body: bytes } = await guest.readFile(guestPath('path', body.path));
      gone.addEventListener('abort', () => bytes.destroy());
      reply.header('content-type', 'application/octet-stream');
      // awaiting the reply waits for its last byte: the capsule counts as used until then
      await reply.send(bytes);
    });

  return {
    uploadFile: http({
      access: TEAM,
      handle: (call) => upload(call, { fileBytes: BUFFERED_LIMIT, spoolBytes: BUFFERED_LIMIT }),
    }),
    streamUploadFile: http({
      access: TEAM,
      handle: (call) => upload(call, { fileBytes: null, spoolBytes: BUFFERED_LIMIT }),
    }),
    downloadFile: http<PathRequest>({ access: TEAM, handle: download }),
    streamDownloadFile: http<PathRequest>({ access: TEAM, handle: download }),
    listDir: http<ListDirRequest>({
      access: TEAM,
      handle: ({ actor, params, body }) => {
        const depth = body.depth ?? 1;
        if (depth < 0 || depth > MAX_DEPTH) throw invalidField('depth', `must be 0 to ${MAX_DEPTH}`);
        return capsules.use(actor, params['id']!, async (guest) => ({
          entries: (await guest.list(guestPath('path', body.path), depth)).map(toFile),
        }));
      },
    }),
    makeDir: http<PathRequest>({
      access: TEAM,
      handle: ({ actor, params, body }) =>
        capsules.use(actor, params['id']!, async (guest) => ({
          entry: toFile(await guest.mkdir(guestPath('path', body.path))),
        })),
    }),
    removePath: http<PathRequest>({
      access: TEAM,
      handle: ({ actor, params, body }) =>
        capsules.use(actor, params['id']!, (guest) => guest.remove(guestPath('path', body.path))),
    }),
  };
};
