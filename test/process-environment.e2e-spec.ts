import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { ServiceProcess } from './support/service-process.js';
import { eventually } from './support/eventually.js';
import { useDatabase, useProxy } from './support/use-service.js';
import { AUTH_SECRET } from './support/test-service.js';

describe('a SIGTERM', () => {
  const database = useDatabase();

  /** Sends it as soon as there is a listener, and says what has been loaded by then. */
  const SIGNAL_EARLY = `data:text/javascript,${encodeURIComponent(
    `process.once('newListener', (name) => {
       process.stderr.write(name + ' before reflect-metadata: ' + (Reflect.getMetadata === undefined) + '\\n');
       setImmediate(() => process.kill(process.pid, 'SIGTERM'));
     });`,
  )}`;

  it('with SHUTDOWN_DELAY_SECONDS leaves the balancers time: not ready, and every request is still served', async () => {
    const service = new ServiceProcess({ DATABASE_URL: database.url, AUTH_SECRET, SHUTDOWN_DELAY_SECONDS: '3' });
    try {
      const client = await service.listening();
      const statusOf = async (path: string): Promise<number> => (await client.get(path)).status;
      await eventually(async () => (await statusOf('/health/ready')) === 200, { withinMs: 10_000 });
      expect(await statusOf('/health/started')).toBe(200);
      service.signal('SIGTERM');
      await eventually(async () => (await statusOf('/health/ready')) === 503, { withinMs: 2_000 });
      expect(await statusOf('/health/started')).toBe(503);
      await client.signUpAndIn();
      expect(service.hasLogged('stopping')).toBe(false);
      expect(await service.ended()).toEqual({ code: 0, signal: null });
    } finally {
      await service.kill();
    }
  });

  it('while the program loads stops it before it listens, and is heard before anything is loaded', async () => {
    const service = new ServiceProcess({
      DATABASE_URL: database.url,
      AUTH_SECRET,
      NODE_OPTIONS: `--import ${SIGNAL_EARLY}`,
    });
    expect(await service.ended()).toEqual({ code: 0, signal: null });
    expect(service.errorOutput).toMatch(/^SIG(INT|TERM) before reflect-metadata: true$/m);
    expect(service.hasLogged('listening')).toBe(false);
    expect(service.hasLogged('stopped')).toBe(true);
  });
});

describe('a service whose cookie origins are on another site', () => {
  it('warns once, with the origins, that pages of them cannot stay signed in with Safari and Firefox', async () => {
    const service = new ServiceProcess({
      DATABASE_URL: 'postgres://ratchet:x@127.0.0.1:1/ratchet',
      AUTH_SECRET,
      JWT_ISSUER: 'https://auth.example.com',
      COOKIE_ORIGINS: 'https://app.example.com, https://app.example.org',
    });
    try {
      await eventually(() => service.hasLogged('cookie_origins_of_other_sites'), { withinMs: 20_000 });
      expect(service.logged('cookie_origins_of_other_sites')).toEqual([
        expect.objectContaining({
          level: 'warn',
          origins: ['https://app.example.org'],
          msg: expect.stringMatching(/Safari and Firefox/) as string,
        }),
      ]);
    } finally {
      await service.kill();
    }
  });
});

describe('a service whose database is on another machine', () => {
  it('warns once that the connection is not protected by TLS, and names the setting', async () => {
    // No machine has this address (RFC 5737).
    const service = new ServiceProcess({ DATABASE_URL: 'postgres://ratchet:x@192.0.2.1/ratchet', AUTH_SECRET });
    try {
      await eventually(() => service.hasLogged('connection_unprotected'), { withinMs: 20_000 });
      expect(service.logged('connection_unprotected')).toEqual([
        expect.objectContaining({ level: 'warn', names: ['DATABASE_URL'] }),
      ]);
    } finally {
      await service.kill();
    }
  });
});

describe('a service whose log is no longer read', () => {
  const database = useDatabase();

  /** Their lines are more than the pipe and the backlog hold. */
  const REQUESTS = 4_000;
  const LONG_PATH = `/${'x'.repeat(199)}`;

  it('answers every request, drops and counts lines, and says so when the log is read again', async () => {
    const service = new ServiceProcess({ DATABASE_URL: database.url, AUTH_SECRET });
    try {
      const client = await service.listening();
      service.stopReading();
      expect(await request(client.url, REQUESTS)).toBe(REQUESTS);
      service.readAgain();
      await eventually(() => service.hasLogged('log_lines_dropped'), { withinMs: 10_000 });
      const [dropped] = service.logged('log_lines_dropped');
      await eventually(() => loggedRequests(service) + Number(dropped?.['lines']) === REQUESTS, { withinMs: 10_000 });
    } finally {
      await service.kill();
    }
  });

  it('ends at SIGTERM all the same', async () => {
    const service = new ServiceProcess({ DATABASE_URL: database.url, AUTH_SECRET });
    try {
      const client = await service.listening();
      service.stopReading();
      expect(await request(client.url, 1_000)).toBe(1_000);
      service.signal('SIGTERM');
      await eventually(() => service.hasEnded, { withinMs: 20_000 });
      service.readAgain();
      expect(await service.ended()).toEqual({ code: 0, signal: null });
    } finally {
      await service.kill();
    }
  });

  /**
   * Sends so many requests on a few connections.
   *
   * @returns how many were answered with 404
   */
  async function request(url: string, times: number): Promise<number> {
    const agent = new Agent({ keepAlive: true, maxSockets: 10 });
    const statuses = await Promise.all(
      Array.from({ length: times }, async () => {
        const [answer] = (await once(get(url + LONG_PATH, { agent }), 'response')) as [IncomingMessage];
        await once(answer.resume(), 'end');
        return answer.statusCode;
      }),
    );
    agent.destroy();
    return statuses.filter((status) => status === 404).length;
  }

  function loggedRequests(service: ServiceProcess): number {
    return service.lines.filter(({ path }) => path === LONG_PATH).length;
  }
});

describe('a service whose database goes away while it starts', () => {
  const database = useDatabase();
  const proxy = useProxy(database);
  const LISTEN = /^listen /;

  /** The database is there when it is looked at first, and gone when the modules want something of it. */
  async function startWithout(statement: RegExp): Promise<ServiceProcess> {
    const cut = proxy.nextCut();
    proxy.cutNext(statement, 'before');
    const service = new ServiceProcess({ DATABASE_URL: proxy.url, AUTH_SECRET });
    await cut;
    proxy.refuse();
    return service;
  }

  it.each([
    ['signing keys', /left join signing_keys/],
    ['ended sessions', LISTEN],
  ])('waits for it, and serves when it is back: without the %s', async (_, statement) => {
    const service = await startWithout(statement);
    try {
      const isWaiting = (): boolean =>
        service.lines.some(({ msg }) => String(msg).startsWith('Waiting for the database')) ||
        (service.hasLogged('revocation_feed_lost') && service.hasLogged('heartbeat_lost'));
      await eventually(() => service.hasEnded || isWaiting(), { withinMs: 10_000 });
      await proxy.resume();
      const client = await service.listening();
      await client.signUpAndIn();
    } finally {
      await service.kill();
      await proxy.resume();
    }
  });

  it('ends at SIGTERM meanwhile', async () => {
    const service = await startWithout(LISTEN);
    try {
      service.signal('SIGTERM');
      expect(await service.ended()).toEqual({ code: 0, signal: null });
      expect(service.hasLogged('stopped')).toBe(true);
    } finally {
      await service.kill();
      await proxy.resume();
    }
  });
});
