import { createPublicKey } from 'node:crypto';
import { beforeAll, describe, expect, it } from 'vitest';
import request from 'supertest';
import { KeysService } from '../src/keys/keys.service.js';
import { expectProblem } from './support/problem.js';
import { sendRaw } from './support/raw-request.js';
import { useDatabase, useInstance } from './support/use-service.js';

describe('GET /.well-known/keys/{kid}.pem', () => {
  const database = useDatabase();
  /** Makes a key that the other instance publishes as well. */
  useInstance(database);
  const service = useInstance(database, { JWT_ALGORITHM: 'RS256' });
  let kid: string;

  beforeAll(() => {
    ({ kid } = service.app.get(KeysService).signingKey());
  });

  it('is the same key as in the JWK Set, for each that stands there', async () => {
    const { keys } = (await service.client.get('/.well-known/jwks.json')).body as { keys: { kid: string }[] };
    expect(keys).toHaveLength(2);
    for (const jwk of keys) {
      const { status, headers, text } = await sendRaw(service.url, { path: `/.well-known/keys/${jwk.kid}.pem` });
      expect(status).toBe(200);
      expect(headers).toMatchObject({
        'content-type': 'application/x-pem-file',
        'cache-control': 'public, max-age=300',
        'x-content-type-options': 'nosniff',
        etag: expect.stringMatching(/^"[\w-]{43}"$/),
      });
      expect(text).toMatch(/^-----BEGIN PUBLIC KEY-----\n[\w+/=\n]+-----END PUBLIC KEY-----\n$/);
      expect(jwk).toMatchObject(createPublicKey(text).export({ format: 'jwk' }));
    }
  });

  it('answers 304 to a client that has it already, and HEAD without a body', async () => {
    const path = `/.well-known/keys/${kid}.pem`;
    const { etag = '' } = (await request(service.url).head(path)).headers;
    const cached = await request(service.url).get(path).set('if-none-match', `"other", W/${etag}`);
    expect([cached.status, cached.headers['etag'], cached.text]).toEqual([304, etag, '']);
    expect((await request(service.url).get(path).set('if-none-match', '"other"')).status).toBe(200);
  });

  it.each([
    ['an unknown id', `${'A'.repeat(43)}.pem`],
    ['another ending', 'KID.der'],
    ['no ending', 'KID'],
    ['the ending twice', 'KID.pem.pem'],
    ['a path that climbs', '..%2f..%2fetc%2fpasswd.pem'],
    ['a name of the prototype', '__proto__.pem'],
    ['a very long name', `${'a'.repeat(4096)}.pem`],
    ['a zero byte', 'KID%00.pem'],
    ['nothing', '.pem'],
  ])('answers %s with not_found', async (_what, name) => {
    expectProblem(await service.client.get(`/.well-known/keys/${name.replace('KID', kid)}`), 'not_found');
  });
});
