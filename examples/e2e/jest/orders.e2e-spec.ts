import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { createClient } from '@ratchet/client';
import { connectRatchet, type Namespace } from '@ratchet/testing';
import { AppModule } from './app.module';
import { refresh } from './session';

describe('the orders API', () => {
  let ns: Namespace;
  let app: INestApplication;
  let url: string;

  beforeAll(async () => {
    // A Ratchet for this worker alone: tests of other workers see nothing of it.
    ns = await connectRatchet().namespace();
    process.env.JWT_ISSUER = ns.issuer;
    process.env.JWT_AUDIENCE = ns.audience;
    app = await NestFactory.create(AppModule, { logger: false });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });

  beforeEach(() => ns.reset());

  afterAll(() => app.close());

  async function call(method: string, path: string, accessToken: string) {
    const response = await fetch(`${url}${path}`, { method, headers: { authorization: `Bearer ${accessToken}` } });
    return { status: response.status, body: await response.json() };
  }

  it('lists the orders of the user who has signed in', async () => {
    const ada = await ns.user();
    const { accessToken } = await ada.signIn();
    expect(await call('GET', '/orders', accessToken)).toEqual({ status: 200, body: { ordersOf: ada.id } });
  });

  it('lets only an admin remove an order', async () => {
    const admin = await ns.token({ roles: ['admin'] });
    const other = await ns.token();
    expect(await call('DELETE', '/orders/7', admin.accessToken)).toMatchObject({ status: 200 });
    expect(await call('DELETE', '/orders/7', other.accessToken)).toMatchObject({
      status: 403,
      body: { code: 'insufficient_role' },
    });
  });

  it('refuses a token that has expired', async () => {
    const { accessToken } = await ns.token({ expired: true });
    expect(await call('GET', '/orders', accessToken)).toMatchObject({
      status: 401,
      body: { code: 'access_token_expired' },
    });
  });

  it('refuses the token of a session that has ended, within a second', async () => {
    const ada = await ns.user();
    const { accessToken } = await ada.signIn();
    expect(await call('GET', '/orders', accessToken)).toMatchObject({ status: 200 });
    await fetch(`${ns.url}/auth/logout`, { method: 'POST', headers: { authorization: `Bearer ${accessToken}` } });
    let answer;
    do {
      answer = await call('GET', '/orders', accessToken);
    } while (answer.status === 200);
    expect(answer).toMatchObject({ status: 401, body: { code: 'access_token_revoked' } });
  });

  it('stays signed in when the answer to a refresh gets lost', async () => {
    const { refreshToken } = await ns.session();
    const fault = await ns.fault({ method: 'POST', path: '/auth/refresh', cut: 'after', times: 1 });
    const response = await refresh(ns.url, refreshToken);
    const { access_token: accessToken } = (await response.json()) as { access_token: string };
    expect(await fault.hits()).toBe(1);
    expect(await call('GET', '/orders', accessToken)).toMatchObject({ status: 200 });
  });

  it('answers a client that refreshes by itself, over an answer that gets lost', async () => {
    const ada = await ns.user();
    const client = createClient({ baseUrl: ns.url, mode: 'token', resources: [new URL(url).origin] });
    await client.signIn(ada);
    const fault = await ns.fault({ method: 'POST', path: '/auth/refresh', cut: 'after', times: 1 });
    await client.accessToken({ minValiditySeconds: 3_600 });
    expect(await fault.hits()).toBe(1);
    const response = await client.fetch(`${url}/orders`);
    expect(await response.json()).toEqual({ ordersOf: ada.id });
    client.dispose();
  });

  it('asks for a new sign-in after a month', async () => {
    const { refreshToken } = await ns.session();
    await ns.clock.advance('31 days');
    const response = await refresh(ns.url, refreshToken);
    expect(await response.json()).toMatchObject({ status: 401, code: 'session_expired' });
  });
});
