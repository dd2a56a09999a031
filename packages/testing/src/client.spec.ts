import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { connectRatchet } from './connect-ratchet.js';
import { Namespace } from './namespace.js';
import { startRatchet } from './start-ratchet.js';

/** Answers as it is told, and remembers what it was asked. */
describe('the client', () => {
  const asked: { method: string; path: string; headers: unknown; body: unknown }[] = [];
  let answer: { status: number; headers?: Record<string, string>; body?: unknown } | 'cut';
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      asked.push({ method, path: url, headers, body: text === '' ? undefined : JSON.parse(text) });
      if (answer === 'cut') {
        response.destroy();
      } else {
        response.writeHead(answer.status, { 'x-ratchet-test': '1', ...answer.headers });
        response.end(answer.body === undefined ? '' : JSON.stringify(answer.body));
      }
    });
  });
  let url: string;
  let ns: Namespace;

  beforeAll(async () => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    ns = new Namespace(
      { name: 'a', url: `${url}/ns/a`, issuer: `${url}/ns/a`, audience: 'ratchet', jwks_uri: `${url}/ns/a/keys` },
      `${url}/test/a`,
    );
  });

  afterEach(() => {
    asked.splice(0);
    vi.unstubAllEnvs();
  });

  afterAll(() => server.close());

  it('says how to start when it has no address', () => {
    vi.stubEnv('RATCHET_TEST_URL', '');
    expect(() => connectRatchet()).toThrow(
      expect.objectContaining({
        name: 'RatchetTestError',
        code: 'not_started',
        message: expect.stringMatching(/^RATCHET_TEST_URL is not set\. Call startRatchet\(\)/),
      }),
    );
  });

  it.each([
    ['JEST_WORKER_ID', '3', 'w3'],
    ['VITEST_POOL_ID', '4', 'w4'],
    ['TEST_PARALLEL_INDEX', '0', 'w0'],
    ['NO_WORKER', '', `p${process.pid}`],
  ])('names a namespace after %s=%j by default: %s', async (variable, value, name) => {
    for (const each of ['JEST_WORKER_ID', 'VITEST_POOL_ID', 'TEST_PARALLEL_INDEX']) {
      vi.stubEnv(each, undefined);
    }
    vi.stubEnv(variable, value);
    answer = { status: 201, body: { name, url, issuer: url, audience: 'ratchet', jwks_uri: url } };
    await connectRatchet({ testUrl: `${url}/test/` }).namespace();
    expect(asked).toEqual([
      { method: 'PUT', path: `/test/${name}`, headers: expect.objectContaining({ 'x-ratchet-test': '1' }), body: {} },
    ]);
  });

  it('throws what a problem says, with what was asked', async () => {
    answer = { status: 404, body: { status: 404, code: 'namespace_unknown', detail: 'Make it by PUT /test/a first.' } };
    await expect(ns.reset()).rejects.toMatchObject({
      name: 'RatchetTestError',
      status: 404,
      code: 'namespace_unknown',
      detail: 'Make it by PUT /test/a first.',
      message: `POST ${url}/test/a/reset: 404 namespace_unknown. Make it by PUT /test/a first.`,
    });
  });

  it('names the members that the service finds wrong', async () => {
    const errors = [{ field: 'email', message: 'must be an address' }];
    answer = { status: 400, body: { code: 'validation_failed', detail: 'Not the shape.', errors } };
    await expect(ns.signIn({ email: 'x', password: 'y' })).rejects.toMatchObject({
      detail: 'Not the shape. email must be an address',
    });
  });

  it('recognises an answer that is not of a runner', async () => {
    answer = { status: 200, headers: { 'x-ratchet-test': '0' } };
    await expect(ns.reset()).rejects.toMatchObject({ code: 'not_a_runner', status: 200 });
  });

  it('tells a connection that was cut from a runner that is not there', async () => {
    answer = 'cut';
    await expect(ns.reset()).rejects.toMatchObject({ code: 'connection_cut', status: undefined });
    await expect(connectRatchet({ testUrl: 'http://127.0.0.1:1/test' }).health()).rejects.toMatchObject({
      code: 'unreachable',
      message: expect.stringContaining('startRatchet() or ratchet-test starts one'),
    });
  });

  it.each<[string, () => Promise<unknown>]>([
    ['a text that is no duration', () => ns.clock.advance('soon')],
    ['a text that is no instant', () => ns.clock.freeze('soon')],
    ['an option that a token does not have', () => ns.token({ expire: true } as object)],
  ])('throws a TypeError for %s, and asks nothing', async (_what, act) => {
    await expect(act()).rejects.toThrow(TypeError);
    expect(asked).toEqual([]);
  });

  it('starts nothing in production', async () => {
    vi.stubEnv('NODE_ENV', 'production');
    await expect(startRatchet()).rejects.toMatchObject({
      code: 'start_failed',
      message: expect.stringContaining('NODE_ENV=production'),
    });
  });
});
