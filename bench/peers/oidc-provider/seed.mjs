// Grants and refresh tokens made by the library's own models, `ROWS` of each, as an authorisation would leave them
// behind. Writes the tokens to the file named by OUT.
import { writeFileSync } from 'node:fs';
import { createTable, pool } from './postgres-adapter.mjs';
import { CLIENT_ID, provider, RESOURCE } from './provider.mjs';

const AT_ONCE = 100;

async function makeToken(client, index) {
  const accountId = `user-${index}`;
  const grant = new provider.Grant({ accountId, clientId: CLIENT_ID });
  grant.addResourceScope(RESOURCE, 'api');
  const grantId = await grant.save();
  const token = new provider.RefreshToken({
    accountId,
    client,
    grantId,
    gty: 'authorization_code',
    scope: 'api',
    resource: RESOURCE,
    expiresWithSession: false,
  });
  return token.save();
}

await createTable();
const client = await provider.Client.find(CLIENT_ID);
const tokens = [];
for (let start = 0; start < Number(process.env.ROWS); start += AT_ONCE) {
  tokens.push(
    ...(await Promise.all(Array.from({ length: AT_ONCE }, (_, offset) => makeToken(client, start + offset)))),
  );
}
await pool.query('vacuum (analyze) oidc_payloads');
writeFileSync(process.env.OUT, JSON.stringify({ tokens }));
await pool.end();
