/** Numbers for Prometheus. Made and fed by the composition. */
import type { Logger } from '@aviary/kernel';
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** Read anew at each scrape; label sets with their values. */
export interface GaugeSource {
  name: string;
  help: string;
  labelNames: readonly string[];
  read(): Promise<{ labels: Record<string, string>; value: number }[]>;
}

export interface Metrics {
  /** Prometheus text and its content type. */
  render(): Promise<{ type: string; text: string }>;
  /** Times every request of the app, by route pattern. */
  watch(app: FastifyInstance): void;
}

/** A registry with process numbers and the given sources. */
export function createMetrics(sources: readonly GaugeSource[], log: Logger): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const durations = new Histogram({
    name: 'aviary_http_request_duration_seconds',
    help: 'Time from the request to the end of its answer',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
    registers: [registry],
  });
  for (const { name, help, labelNames, read } of sources) {
    new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      async collect() {
        this.reset();
        try {
          for (const { labels, value } of await read()) this.set(labels, value);
        } catch (error) {
          // a part that is away must not take the other numbers with it
          log.warn({ err: error, metric: name }, 'a metric could not be read');
        }
      },
    });
  }
  return {
    render: async () => ({ type: registry.contentType, text: await registry.metrics() }),
    watch: (app) => {
      app.addHook('onResponse', async (request, reply) => {
        const route = request.routeOptions.url ?? 'none';
        durations.observe(
          { method: request.method, route, status: String(reply.statusCode) },
          reply.elapsedTime / 1000,
        );
      });
    },
  };
}
