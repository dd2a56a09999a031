import { once } from 'node:events';
import { test as base, expect } from '@playwright/test';
import { connectRatchet } from '@ratchet/testing';
import { createApp } from './app.js';

const test = base.extend({
  // A Ratchet and a server for each worker, for all of its tests.
  world: [
    async ({}, use) => {
      const ns = await connectRatchet().namespace();
      let offsetMs = 0;
      const app = await createApp({ ...ns, now: () => new Date(Date.now() + offsetMs) });
      app.server.listen(0, '127.0.0.1');
      await once(app.server, 'listening');
      await use({
        ns,
        url: `http://127.0.0.1:${app.server.address().port}`,
        reset: async () => {
          await ns.reset();
          offsetMs = 0;
        },
        // Ratchet's clock, and with it that of the server.
        advance: async (by) => {
          offsetMs = (await ns.clock.advance(by)).getTime() - Date.now();
        },
      });
      app.server.close();
      app.verifier.close();
    },
    { scope: 'worker' },
  ],
});

test.beforeEach(({ world }) => world.reset());

async function signIn(page, { url, ns }) {
  const ada = await ns.user();
  await page.goto(url);
  await page.getByLabel('E-mail').fill(ada.email);
  await page.getByLabel('Password').fill(ada.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByText(`Orders of ${ada.id}`)).toBeVisible();
  return ada;
}

test('signs a user in', async ({ page, world }) => {
  await signIn(page, world);
});

test('stays signed in when the access token expires and the answer to the refresh gets lost', async ({
  page,
  world,
}) => {
  await signIn(page, world);
  await world.advance('10 minutes');
  const fault = await world.ns.fault({ method: 'POST', path: '/auth/refresh', cut: 'after', times: 1 });
  const renewed = page.waitForResponse((response) => response.url().endsWith('/orders') && response.ok());
  await page.getByRole('button', { name: 'Reload' }).click();
  await renewed;
  await expect(page.getByText('Orders of')).toBeVisible();
  expect(await fault.hits()).toBe(1);
});

test('asks for the password again when the session has been ended elsewhere', async ({ page, world }) => {
  const ada = await signIn(page, world);
  const { accessToken } = await ada.signIn();
  await fetch(`${world.ns.url}/auth/logout-all`, {
    method: 'POST',
    headers: { authorization: `Bearer ${accessToken}` },
  });
  await expect(async () => {
    await page.getByRole('button', { name: 'Reload' }).click({ timeout: 1_000 });
    await expect(page.getByLabel('Password')).toBeVisible({ timeout: 1_000 });
  }).toPass();
});

test('asks for the password again after a month', async ({ page, world }) => {
  await signIn(page, world);
  await world.advance('31 days');
  await page.getByRole('button', { name: 'Reload' }).click();
  await expect(page.getByLabel('Password')).toBeVisible();
});
