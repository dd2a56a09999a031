import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleInit,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyAdapter } from '@nestjs/platform-fastify';
import { messageOf } from '../platform/common/message-of.js';
import { Config } from '../platform/config/config.js';
import { MetricsService } from './metrics.service.js';

const PATH = '/metrics';

/**
 * `GET /metrics` on a port of its own, so that no route of a gateway in front of the service can lead to it. Without
 * `METRICS_PORT` nothing is measured.
 */
@Injectable()
export class MetricsServer implements OnModuleInit, OnApplicationBootstrap, OnApplicationShutdown {
  private readonly logger = new Logger(MetricsServer.name);
  private server: Server | undefined;

  constructor(
    private readonly metrics: MetricsService,
    private readonly adapterHost: HttpAdapterHost<FastifyAdapter>,
    private readonly config: Config,
  ) {}

  onModuleInit(): void {
    if (this.config.metrics.port !== undefined) {
      this.metrics.start();
      this.adapterHost.httpAdapter.getInstance().addHook('onResponse', (request, reply, done) => {
        this.metrics.countRequest(request, reply);
        done();
      });
    }
  }

  /** @throws the error of `listen` when the port cannot be opened */
  async onApplicationBootstrap(): Promise<void> {
    const { port } = this.config.metrics;
    if (port === undefined) {
      return;
    }
    const server = createServer((request, response) => {
      void this.answer(request, response);
    });
    this.server = server;
    server.listen(port, this.config.http.host);
    await once(server, 'listening');
    const address = server.address();
    this.logger.log({
      event: 'metrics_listening',
      msg: 'metrics are served',
      port: typeof address === 'object' ? address?.port : undefined,
    });
  }

  async onApplicationShutdown(): Promise<void> {
    const { server } = this;
    if (server?.listening === true) {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    }
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [path] = (request.url ?? '').split('?', 1);
    if (path !== PATH) {
      response.writeHead(404).end();
    } else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
    } else {
      try {
        const { text, contentType } = await this.metrics.render();
        response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-store' }).end(text);
      } catch (error) {
        this.logger.error({
          event: 'metrics_failed',
          msg: 'collecting the metrics failed; this scrape gets a 500',
          reason: messageOf(error),
        });
        response.writeHead(500).end();
      }
    }
  }
}
