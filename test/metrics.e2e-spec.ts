import { beforeAll, describe, expect, it, vi } from 'vitest';
import request, { type Response } from 'supertest';
import { eventually } from './support/eventually.js';
import { askVerify } from './support/gateway-probe.js';
import { expectProblem } from './support/problem.js';
import { newIdempotencyKey, sessionIdOf } from './support/test-client.js';
import { startService } from './support/test-service.js';
import { useDatabase, useInstance, useProxy } from './support/use-service.js';

describe('the metrics of an instance', () => {
  const database = useDatabase();
  const line = useProxy(database);
  const service = useInstance(line, { METRICS_PORT: '0' });
  let metricsUrl: string;

  beforeAll(() => {
    const port = service.logs.find(({ event }) => event === 'metrics_listening')?.['port'];
    metricsUrl = `http://127.0.0.1:${String(port)}`;
  });

  it('are Prometheus text, with those of the process', async () => {
    const response = await read();
    expect(response.status).toBe(200);
    expect(response.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(response.headers['cache-control']).toBe('no-store');
    expect(response.text).toMatch(/^process_resident_memory_bytes \d+$/m);
    expect(response.text).toMatch(/^# TYPE ratchet_revocation_feed_age_seconds gauge$/m);
  });

  it('are not on the port that gateways reach', async () => {
    expectProblem(await service.client.get('/metrics'), 'not_found');
  });

  it('have nothing else on their port', async () => {
    for (const path of ['/', '/auth/me', '/health/live', '/metrics/', '/metrics/..']) {
      expect((await request(metricsUrl).get(path)).status).toBe(404);
    }
    expect((await request(metricsUrl).post('/metrics')).status).toBe(405);
  });

  it('count the answers to gateways by code', async () => {
    const { pair } = await service.client.signUpAndIn();
    await askVerify(service, pair.access_token);
    await askVerify(service, pair.access_token);
    await askVerify(service, 'rubbish');
    await service.client.logout({ refreshToken: pair.refresh_token });
    await askVerify(service, pair.access_token);
    expect(await valuesOf('ratchet_http_requests_total', /route="\/auth\/verify"/)).toEqual({
      'method="GET",route="/auth/verify",code="ok"': 2,
      'method="GET",route="/auth/verify",code="access_token_invalid"': 1,
      'method="GET",route="/auth/verify",code="access_token_revoked"': 1,
    });
    expect(await valuesOf('ratchet_revoked_sessions')).toEqual({ '': 1 });
  });

  it('count refreshes by outcome, replays too', async () => {
    const { pair } = await service.client.signUpAndIn();
    const key = newIdempotencyKey();
    await service.client.rotate(pair.refresh_token, key);
    await service.client.rotate(pair.refresh_token, key);
    await service.client.refresh(pair.refresh_token);
    await service.client.refresh('rubbish');
    expect(await valuesOf('ratchet_refreshes_total')).toEqual({
      'outcome="rotated"': 1,
      'outcome="replayed"': 1,
      'outcome="reused"': 1,
    });
    expect(await valuesOf('ratchet_http_requests_total', /route="\/auth\/refresh"/)).toEqual({
      'method="POST",route="/auth/refresh",code="ok"': 2,
      'method="POST",route="/auth/refresh",code="refresh_token_reused"': 1,
      'method="POST",route="/auth/refresh",code="refresh_token_invalid"': 1,
    });
  });

  it('count refusals of the OAuth routes by code', async () => {
    const token = { grant_type: 'refresh_token', client_id: 'ratchet', refresh_token: 'rubbish' };
    expect((await request(service.url).post('/oauth/token').type('form').send(token)).status).toBe(400);
    expect(await valuesOf('ratchet_http_requests_total', /route="\/oauth\/token"/)).toEqual({
      'method="POST",route="/oauth/token",code="refresh_token_invalid"': 1,
    });
  });

  it('say how old the news of revocations is', async () => {
    expect(await feedAgeSeconds()).toBeLessThan(1);
    line.freeze();
    await eventually(async () => (await feedAgeSeconds()) > 1.2, { withinMs: 5_000 });
    await line.resume();
    await eventually(async () => (await feedAgeSeconds()) < 1, { withinMs: 5_000 });
  });

  it("say how far the instance's clock is ahead of the database's", async () => {
    const offset = async (): Promise<number> => (await valuesOf('ratchet_clock_offset_seconds'))['']!;
    expect(Math.abs(await offset())).toBeLessThan(1);
    vi.useFakeTimers({ now: Date.now() - 40_000, toFake: ['Date'] });
    const seconds = await offset();
    vi.useRealTimers();
    expect(seconds).toBeGreaterThan(-42);
    expect(seconds).toBeLessThan(-39);
  });

  it('have no label that a client can choose', async () => {
    const { pair, email } = await service.client.signUpAndIn();
    const before = Object.keys(await valuesOf('ratchet_http_requests_total', /route="none"/));
    expect(before.length).toBeLessThanOrEqual(1);
    for (const path of ['/one', '/two', '/auth/sessions/x/y', '/%2e%2e', '/three?a=b']) {
      await service.client.get(path, pair.access_token);
    }
    await request(service.url).options('/four');
    await request(service.url).propfind('/five');
    await service.client.endSession(pair.access_token, sessionIdOf(pair));
    expect(await valuesOf('ratchet_http_requests_total', /route="none"/)).toEqual({
      'method="any",route="none",code="not_found"': expect.any(Number),
    });
    const { text } = await read();
    for (const secret of [pair.access_token, pair.refresh_token, email, sessionIdOf(pair)]) {
      expect(text).not.toContain(secret);
    }
    expect(text).toContain('route="/auth/sessions/:id"');
  });

  it('are off by default, and then nothing listens', async () => {
    const other = await startService(database);
    expect(other.logs.filter(({ event }) => event === 'metrics_listening')).toEqual([]);
    await other.stop();
  });

  it('end with the service', async () => {
    const other = await startService(database, { METRICS_PORT: '0' });
    const port = other.logs.find(({ event }) => event === 'metrics_listening')?.['port'];
    await other.stop();
    await expect(fetch(`http://127.0.0.1:${String(port)}/metrics`)).rejects.toThrow();
  });

  async function read(): Promise<Response> {
    return request(metricsUrl).get('/metrics');
  }

  /** Keyed by labels, as they are written. */
  async function valuesOf(name: string, labels = /^/): Promise<Readonly<Record<string, number>>> {
    const { text } = await read();
    const lines = text.split('\n').filter((each) => each.startsWith(`${name}{`) || each.startsWith(`${name} `));
    return Object.fromEntries(
      lines
        .map((each) => /^\w+(?:\{(.*)\})? (.+)$/.exec(each))
        .map((match) => [match?.[1] ?? '', Number(match?.[2])] as const)
        .filter(([key]) => labels.test(key)),
    );
  }

  async function feedAgeSeconds(): Promise<number> {
    return (await valuesOf('ratchet_revocation_feed_age_seconds'))['']!;
  }
});
