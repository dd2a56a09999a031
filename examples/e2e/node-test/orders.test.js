import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, beforeEach, describe, it } from 'node:test';
import { connectRatchet } from '@ratchet/testing';
import { createApp } from './app.js';
import { refresh } from './session.js';

describe('the orders API', () => {
  let ns;
  let app;
  let url;

  before(async () => {
    // A Ratchet for this process alone: node:test runs each file in one of its own.
    ns = await connectRatchet().namespace();
    app = await createApp(ns);
    app.server.listen(0, '127.0.0.1');
    await once(app.server, 'listening');
    url = `http://127.0.0.1:${app.server.address().port}/orders`;
  });

  beforeEach(() => ns.reset());

  after(() => {
    app.server.close();
    app.verifier.close();
  });

  async function list(accessToken) {
    const response = await fetch(url, { headers: { authorization: `Bearer ${accessToken}` } });
    const { ordersOf, code } = await response.json();
    return { status: response.status, ordersOf, code };
  }

  it('lists the orders of the user who has signed in', async () => {
    const ada = await ns.user();
    const { accessToken } = await ada.signIn();
    assert.deepEqual(await list(accessToken), { status: 200, ordersOf: ada.id, code: undefined });
  });

  it('refuses a token that has expired', async () => {
    const { accessToken } = await ns.token({ expired: true });
    assert.equal((await list(accessToken)).code, 'access_token_expired');
  });

  it('refuses the token of a session that has ended, within a second', async () => {
    const ada = await ns.user();
    const { accessToken } = await ada.signIn();
    assert.equal((await list(accessToken)).status, 200);
    await fetch(`${ns.url}/auth/logout`, { method: 'POST', headers: { authorization: `Bearer ${accessToken}` } });
    let answer;
    do {
      answer = await list(accessToken);
    } while (answer.status === 200);
    assert.equal(answer.code, 'access_token_revoked');
  });

  it('stays signed in when the answer to a refresh gets lost', async () => {
    const { refreshToken } = await ns.session();
    const fault = await ns.fault({ method: 'POST', path: '/auth/refresh', cut: 'after', times: 1 });
    const response = await refresh(ns.url, refreshToken);
    const { access_token: accessToken } = await response.json();
    assert.equal(await fault.hits(), 1);
    assert.equal((await list(accessToken)).status, 200);
  });

  it('asks for a new sign-in after a month', async () => {
    const { refreshToken } = await ns.session();
    await ns.clock.advance('31 days');
    const response = await refresh(ns.url, refreshToken);
    assert.equal((await response.json()).code, 'session_expired');
  });
});
