/**
 * Uploads of one file with a `path` field, in either order, without holding the file in memory
 * (multipart/form-data, RFC 7578). For file routes.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { AviaryError, invalidField, isAviaryError } from '@aviary/kernel';
import type { MultipartFile } from '@fastify/multipart';
import type { FastifyRequest } from 'fastify';
import { guestPath } from './text.ts';

export interface UploadLimits {
  /** Bytes of the file; null for any size. */
  fileBytes: number | null;
  /** Bytes put aside on disk when the file comes before its path. */
  spoolBytes: number;
}

/** What a multipart body may weigh beyond its file: boundaries, headers, other fields. */
const ENVELOPE = 128 * 1024;

/**
 * Hands the file to `write` as it arrives. A file that comes before its `path` is spooled to a temporary file
 * first, which is always deleted. Errors: invalid_request, too_large (before reading, when the length says so).
 */
export async function receiveUpload<T>(
  request: FastifyRequest,
  limits: UploadLimits,
  write: (path: string, body: AsyncIterable<Uint8Array>) => Promise<T>,
): Promise<T> {
  if (!request.isMultipart()) throw invalidField('content-type', 'send the body as multipart/form-data');
  const announced = Number(request.headers['content-length'] ?? 0);
  if (limits.fileBytes !== null && announced > limits.fileBytes + ENVELOPE) throw tooLarge(limits.fileBytes);

  let path: string | null = null;
  let spooled: { dir: string; file: string } | null = null;
  let written: { result: T } | null = null;
  try {
    const fileSize = limits.fileBytes ?? Number.POSITIVE_INFINITY;
    const parts = request.parts({ limits: { fileSize: Number.POSITIVE_INFINITY } });
    for (;;) {
      const { value: part, done } = await parts.next().catch(malformed);
      if (done === true) break;
      if (part.type === 'field') {
        if (part.fieldname !== 'path') continue;
        if (path !== null) throw invalidField('path', 'is given more than once');
        path = guestPath('path', String(part.value));
      } else if (part.fieldname !== 'file') {
        throw invalidField(
          part.fieldname.slice(0, 100),
          'is not a field of this upload; the file is called file',
        );
      } else if (path !== null) {
        written = { result: await write(path, counted(part.file, fileSize)) };
      } else {
        spooled = await spool(part, Math.min(fileSize, limits.spoolBytes));
      }
    }
    if (path === null) throw invalidField('path', 'is required');
    if (written !== null) return written.result;
    if (spooled === null) throw invalidField('file', 'is required');
    return await write(path, createReadStream(spooled.file));
  } catch (error) {
    // nobody reads the rest, and a connection that is kept alive would wait for that for ever
    request.raw.unpipe();
    request.raw.resume();
    throw error;
  } finally {
    if (spooled !== null) await rm(spooled.dir, { recursive: true, force: true });
  }
}

async function spool(part: MultipartFile, limit: number): Promise<{ dir: string; file: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'aviary-upload-'));
  const file = join(dir, 'file');
  try {
    await pipeline(counted(part.file, limit), createWriteStream(file, { mode: 0o600 }));
    return { dir, file };
  } catch (error) {
    await rm(dir, { recursive: true, force: true });
    throw error;
  }
}

async function* counted(source: Readable, limit: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  const chunks = (source as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { value: chunk, done } = await chunks.next().catch(malformed);
      if (done === true) return;
      bytes += chunk.length;
      if (bytes > limit) throw tooLarge(limit);
      yield chunk;
    }
  } finally {
    await chunks.return?.();
  }
}

/** What the parser throws is about the body that was sent, or about a client that left in the middle of it. */
function malformed(cause: unknown): never {
  if (isAviaryError(cause) || (cause as { statusCode?: number }).statusCode !== undefined) throw cause;
  const text = cause instanceof Error ? cause.message : String(cause);
  throw new AviaryError('invalid_request', `the upload is not well-formed multipart/form-data: ${text}`, {
    cause,
  });
}

function tooLarge(limit: number): AviaryError {
  return new AviaryError(
    'too_large',
    `file: at most ${limit} bytes here; use the streaming route, path before file`,
    {
      details: { field: 'file', limit },
    },
  );
}
