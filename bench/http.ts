/** A client on kept-alive connections, as light as a benchmark needs. For the benchmarks. */
import { Agent, request } from 'node:http';

export interface Answer {
  status: number;
  // biome-ignore lint/suspicious/noExplicitAny: what a benchmark reads of an answer, it has just asked for
  body: any;
}

export type Call = (method: string, path: string, body?: unknown) => Promise<Answer>;

/** Calls to `url` with these headers; answers of 400 and more are failures of the benchmark. */
export function createClient(url: string, headers: Readonly<Record<string, string>>): Call {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  return (method, path, body) =>
    new Promise((resolve, reject) => {
      const json = body === undefined ? undefined : JSON.stringify(body);
      const typed =
        json === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) };
      const sent = request(
        `${url}${path}`,
        { method, agent, headers: { ...headers, ...typed } },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (part: string) => {
            text += part;
          });
          response.on('end', () => {
            const status = response.statusCode ?? 0;
            if (status >= 400) reject(new Error(`${method} ${path}: ${status} ${text}`));
            else resolve({ status, body: text === '' ? null : JSON.parse(text) });
          });
        },
      );
      sent.on('error', reject);
      sent.end(json);
    });
}
