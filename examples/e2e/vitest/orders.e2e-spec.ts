import { randomUUID } from 'node:crypto';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { connectRatchet, type Namespace } from '@ratchet/testing';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AppModule } from './app.module.js';
import { refresh } from './session.js';

describe('the orders API', () => {
  let ns: Namespace;
  let app: NestFastifyApplication;
  let url: string;

  beforeAll(async () => {
    // A Ratchet for this worker alone: tests of other workers see nothing of it.
    ns = await connectRatchet().namespace();
    process.env.JWT_ISSUER = ns.issuer;
    process.env.JWT_AUDIENCE = ns.audience;
    app = await NestFactory.create<NestFastifyApplication>(AppModule, new FastifyAdapter(), { logger: false });
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });

  beforeEach(() => ns.reset());

  afterAll(() => app.close());

  async function call(method: string, path: string, accessToken: string) {
    const response = await fetch(`${url}${path}`, { method, headers: { authorization: `Bearer ${accessToken}` } });
    return { status: response.status, body: await response.json() };
  }

  /** As the page of the link does. */
  async function post(path: string, body: object) {
    const headers = { 'content-type': 'application/json' };
    return (await fetch(`${ns.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })).status;
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
    await expect
      .poll(() => call('GET', '/orders', accessToken))
      .toMatchObject({ status: 401, body: { code: 'access_token_revoked' } });
  });

  it('stays signed in when the answer to a refresh gets lost', async () => {
    const { refreshToken } = await ns.session();
    const fault = await ns.fault({ method: 'POST', path: '/auth/refresh', cut: 'after', times: 1 });
    const response = await refresh(ns.url, refreshToken);
    const { access_token: accessToken } = (await response.json()) as { access_token: string };
    expect(await fault.hits()).toBe(1);
    expect(await call('GET', '/orders', accessToken)).toMatchObject({ status: 200 });
  });

  it('asks for a new sign-in after a month', async () => {
    const { refreshToken } = await ns.session();
    await ns.clock.advance('31 days');
    const response = await refresh(ns.url, refreshToken);
    expect(await response.json()).toMatchObject({ status: 401, code: 'session_expired' });
  });

  it('refuses the token of a user who has reset a forgotten password by the link in the mail', async () => {
    const ada = await ns.user();
    const { accessToken } = await ada.signIn();
    expect(await post('/auth/password/forgot', { email: ada.email })).toBe(202);
    const { links } = await ns.outbox.next({ to: ada });
    const token = new URLSearchParams(new URL(links[0]!).hash.slice(1)).get('password_reset');
    expect(await post('/auth/password/reset', { token, new_password: randomUUID() })).toBe(204);
    await expect
      .poll(() => call('GET', '/orders', accessToken))
      .toMatchObject({ status: 401, body: { code: 'access_token_revoked' } });
  });
});
