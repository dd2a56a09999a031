import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { fastify, type FastifyInstance } from 'fastify';
import { createLogger } from '../logging/logger.js';
import { drainOnClose } from './drain.js';

describe('drainOnClose', () => {
  const sockets: Socket[] = [];

  afterEach(() => {
    sockets.splice(0).forEach((socket) => socket.destroy());
  });

  /** A server with one route that answers at once and one that answers when told to. */
  async function start(deadlineMs: number): Promise<{
    instance: FastifyInstance;
    open: () => Promise<Peer>;
    arrived: Promise<void>;
    release: () => void;
    warnings: string[];
  }> {
    const warnings: string[] = [];
    const logger = createLogger({ level: 'warn', destination: { write: (line) => void warnings.push(line) } });
    const instance = fastify({ forceCloseConnections: 'idle', return503OnClosing: false, keepAliveTimeout: 60_000 });
    drainOnClose(instance, logger, deadlineMs);
    const arrival = deferred();
    const released = deferred();
    instance.get('/quick', () => 'quick');
    instance.get('/slow', async () => {
      arrival.resolve();
      await released.promise;
      return 'slow';
    });
    await instance.listen({ host: '127.0.0.1', port: 0 });
    const { port } = instance.server.address() as AddressInfo;
    return {
      instance,
      arrived: arrival.promise,
      release: released.resolve,
      warnings,
      open: async () => {
        const peer = await openPeer(port);
        sockets.push(peer.socket);
        return peer;
      },
    };
  }

  it('finishes a request in flight and waits for no idle or silent connection', async () => {
    const { instance, open, arrived, release, warnings } = await start(60_000);
    const idle = await open();
    idle.socket.write('GET /quick HTTP/1.1\r\nHost: a\r\n\r\n');
    await idle.received('quick');
    const silent = await open();
    const busy = await open();
    busy.socket.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    await arrived;

    const closed = instance.close();
    await Promise.all([idle.ended, silent.ended]);
    release();
    await closed;

    const answer = await busy.ended;
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer).toMatch(/^connection: close\r$/im);
    expect(answer).toMatch(/\r\n\r\nslow$/);
    expect(await silent.ended).toBe('');
    expect(warnings).toEqual([]);
  });

  it('serves what still arrives on an open connection while the others drain', async () => {
    const { instance, open, arrived, release } = await start(60_000);
    const busy = await open();
    busy.socket.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    await arrived;

    const closed = instance.close();
    busy.socket.write('GET /quick HTTP/1.1\r\nHost: a\r\n\r\n');
    release();
    await closed;
    expect(await busy.ended).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  it('cuts what is still busy at the deadline, and says so', async () => {
    const { instance, open, arrived, warnings } = await start(50);
    const busy = await open();
    busy.socket.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    await arrived;

    await instance.close();
    expect(await busy.ended).toBe('');
    expect(warnings).toHaveLength(1);
  });
});

interface Peer {
  readonly socket: Socket;
  /** Everything received, once the server has closed the connection. */
  readonly ended: Promise<string>;
  readonly received: (text: string) => Promise<void>;
}

async function openPeer(port: number): Promise<Peer> {
  let answer = '';
  const waiting: { readonly text: string; readonly resolve: () => void }[] = [];
  const socket = connect(port, '127.0.0.1');
  const ended = new Promise<string>((resolve) => {
    socket.on('close', () => {
      resolve(answer);
    });
  });
  socket.setEncoding('utf8');
  socket.on('error', () => undefined);
  socket.on('data', (chunk: string) => {
    answer += chunk;
    waiting
      .filter(({ text }) => answer.includes(text))
      .forEach(({ resolve }) => {
        resolve();
      });
  });
  await new Promise<void>((resolve) => socket.once('connect', resolve));
  return {
    socket,
    ended,
    received: (text) => new Promise((resolve) => waiting.push({ text, resolve })),
  };
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((fulfil) => {
    resolve = fulfil;
  });
  return { promise, resolve };
}
