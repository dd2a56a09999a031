import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';

/**
 * Makes closing wait for requests in flight and for nothing else: idle connections end at once, a connection that is
 * answering ends with its answer, and the rest are cut after the deadline.
 *
 * @param deadlineMs counted from the moment the server stops listening
 */
export function drainOnClose(instance: FastifyInstance, logger: Logger, deadlineMs: number): void {
  const server = instance.server;
  // Node counts a connection that has never sent a request as busy, so a browser's preconnect would delay the stop.
  const silent = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  server.on('request', ({ socket }: IncomingMessage) => silent.delete(socket));

  let closing = false;
  let deadline: NodeJS.Timeout | undefined;
  instance.addHook('preClose', (done) => {
    closing = true;
    silent.forEach((socket) => socket.destroy());
    deadline = setTimeout(() => {
      logger.warn({ deadline_ms: deadlineMs }, 'cut the connections that were still busy');
      server.closeAllConnections();
    }, deadlineMs);
    done();
  });
  instance.addHook('onSend', (_request, reply, payload, done) => {
    if (closing) {
      reply.header('connection', 'close');
    }
    done(null, payload);
  });
  server.on('close', () => {
    clearTimeout(deadline);
  });
}
