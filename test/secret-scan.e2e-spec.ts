import { createHash, generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Response } from 'supertest';
import { deriveServerKey } from '../src/platform/common/server-keys.js';
import { KeysService } from '../src/keys/keys.service.js';
import { enrolTotp, FACTORS_ON, proveSecondFactor } from './support/factors.js';
import { findSecrets, scanForSecrets } from './support/secret-scan.mjs';
import { newEmail, newIdempotencyKey, newPassword, pairOf, type TokenPair } from './support/test-client.js';
import { createTestDatabase, type TestDatabase } from './support/test-database.js';
import { testRun } from './support/test-run.js';
import { AUTH_SECRET, startService, type TestService } from './support/test-service.js';
import { useService } from './support/use-service.js';

/** Where the family's secret stands in a token: behind the key id and the family id. */
const SECRET_BYTES = { from: 17, to: 33 };

function tokenBytes({ refresh_token }: TokenPair): Buffer {
  return Buffer.from(refresh_token.slice('rt1.'.length), 'base64url');
}

function familySecretOf(pair: TokenPair): Buffer {
  return tokenBytes(pair).subarray(SECRET_BYTES.from, SECRET_BYTES.to);
}

function sha256(bytes: string | Buffer): Buffer {
  return createHash('sha256').update(bytes).digest();
}

describe('the secret scan', () => {
  const { service } = useService();

  it('finds every kind of secret, each by its name, and nothing in what is left of a redacted one', async () => {
    const { pair } = await service.client.signUpAndIn();
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const planted: readonly (readonly [string, string])[] = [
      ['password', newPassword()],
      ['Idempotency-Key', newIdempotencyKey()],
      ['AUTH_SECRET', AUTH_SECRET],
      ['refresh token', pair.refresh_token],
      ['ticket token', `pr1.${'Ab-_'.repeat(16)}Ag`],
      ['access token', pair.access_token],
      ['TOTP secret', 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ'],
      ['TOTP secret', 'otpauth://totp/Ratchet:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Ratchet'],
      ['TOTP code', JSON.stringify({ totp: '123456' })],
      ['TOTP code', '?totp=123456'],
      ['recovery code', 'GEZD-GNBV-GY3T-QOJQ'],
      ['passkey assertion', Buffer.from('{"type":"webauthn.get","challenge":""}').toString('base64url')],
      ['passkey assertion', JSON.stringify({ response: { signature: 'MEUCIQ'.repeat(9) } })],
      ['private key', privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()],
      ['private key', JSON.stringify(privateKey.export({ format: 'jwk' }))],
    ];
    for (const [kind, secret] of planted) {
      expect(findSecrets(`{"level":"info","msg":"before ${secret} after"}`, 'a log')).toEqual([
        expect.stringMatching(new RegExp(`^${kind} in a log: `)),
      ]);
    }
    const harmless = {
      refresh_token: 'rt1.[redacted]',
      authorization: 'Bearer eyJ[redacted]',
      jwk: { kty: 'EC', x: 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU' },
    };
    expect(findSecrets(JSON.stringify(harmless), 'a log')).toEqual([]);
  });

  it('looks into every log and every table', async () => {
    const runDir = await mkdtemp(join(tmpdir(), 'ratchet-scan-'));
    await mkdir(join(runDir, 'logs'));
    const other = await createTestDatabase();
    const run = {
      runDir,
      serverUrl: testRun().serverUrl,
      prefix: new URL(other.url).pathname.slice(1),
      isEmbedded: false,
    };
    await writeFile(join(runDir, 'logs', 'clean.log'), '{"msg":"nothing"}\n');
    expect((await scanForSecrets(run)).findings).toEqual([]);

    await writeFile(join(runDir, 'logs', 'leaking.log'), `{"msg":"${newPassword()}"}\n`);
    await other.sql(`insert into users (id, email, password_hash) values (gen_random_uuid(), 'ada@example.com', $1)`, [
      newPassword(),
    ]);
    const { findings } = await scanForSecrets(run);
    expect(findings).toEqual([
      expect.stringMatching(/^password in .*leaking\.log: /),
      expect.stringMatching(/^password in .*public\.users: /),
    ]);

    // The scan after the suite looks at this database, too.
    await other.sql('delete from users');
    await other.close();
    await rm(runDir, { recursive: true });
  });
});

describe('a life of sign-ins, refreshes, thefts and mistakes', () => {
  let database: TestDatabase;
  let service: TestService;
  /** Everything that authenticates, as it was sent or received. */
  const secrets: string[] = [AUTH_SECRET];
  const pairs: TokenPair[] = [];
  const refusals: Response[] = [];
  const keys: string[] = [];

  const secret = (text: string): string => {
    secrets.push(text);
    return text;
  };
  const granted = (response: Response): TokenPair => {
    const pair = pairOf(response);
    pairs.push(pair);
    secrets.push(pair.access_token, pair.refresh_token);
    return pair;
  };
  const refused = (response: Response): void => {
    expect(response.status).toBeGreaterThanOrEqual(400);
    refusals.push(response);
  };
  const newKey = (): string => {
    const key = secret(newIdempotencyKey());
    keys.push(key);
    return key;
  };

  beforeAll(async () => {
    database = await createTestDatabase();
    service = await startService(database, FACTORS_ON);
    const { client } = service;
    const email = newEmail();
    const password = secret(newPassword());
    const wrong = secret(newPassword());
    expect((await client.register({ email, password })).status).toBe(201);
    refused(await client.register({ email, password }));
    refused(await client.login({ email, password: wrong }));
    refused(await client.login({ email: password, password: wrong }));
    refused(await client.post('/auth/login', [email, password]));
    refused(await client.post('/auth/login', { email: { password }, password: [password] }));

    const pair = granted(await client.login({ email, password }));
    const next = granted(await client.refresh(pair.refresh_token, newKey()));
    const key = newKey();
    const last = granted(await client.refresh(next.refresh_token, key));
    granted(await client.refresh(next.refresh_token, key));
    refused(await client.refresh(last.refresh_token, key));
    refused(await client.refresh(`${last.refresh_token}x`));
    refused(await client.refresh(password));
    refused(await client.me(last.refresh_token));
    refused(await client.get(`/auth/me?access_token=${last.access_token}&password=${password}`));
    refused(await client.get(`/${last.refresh_token}`));
    refused(await client.endSession(last.access_token, last.refresh_token));
    refused(await client.post('/auth/me', {}, { authorization: `Basic ${Buffer.from(password).toString('base64')}` }));
    refused(
      await client.post('/auth/refresh', { refresh_token: last.refresh_token }, { 'idempotency-key': `${key} ${key}` }),
    );
    refused(await client.refresh(pair.refresh_token));

    const again = granted(await client.login({ email, password }));
    const newer = secret(newPassword());
    refused(await client.changePassword(again.access_token, wrong, newer));
    const changed = granted(await client.changePassword(again.access_token, password, newer));
    expect((await client.sessions(changed.access_token)).status).toBe(200);
    granted(await client.refresh(changed.refresh_token, newKey()));
    const left = granted(await client.login({ email, password: newer }));
    expect((await client.logout({ refreshToken: left.refresh_token, accessToken: left.access_token })).status).toBe(
      204,
    );
    refused(await client.refresh(left.refresh_token));

    const enrolling = await client.signUpAndIn();
    secret(enrolling.password);
    pairs.push(enrolling.pair);
    const factor = await enrolTotp(client, database, enrolling);
    secret(factor.secret);
    factor.recoveryCodes.forEach(secret);
    const required = await client.login({ email: enrolling.email, password: enrolling.password });
    const { ticket } = required.body as { readonly ticket: string };
    const [guess, unused = ''] = [secret('AAAA-BBBB-CCCC-DDDD'), ...factor.recoveryCodes];
    refused(await proveSecondFactor(client, ticket, { recovery_code: guess }));
    refused(await proveSecondFactor(client, ticket, { totp: factor.secret }));
    refused(await proveSecondFactor(client, ticket, { passkey: { ticket, credential: { id: unused } } }));
    refused(await client.get(`/auth/factors?recovery_code=${unused}&totp=${factor.secret}`));
    granted(await proveSecondFactor(client, ticket, { recovery_code: unused }));
  });

  afterAll(async () => {
    await service.stop();
    await database.close();
  });

  /** Every value of every row, and of every binary column its bytes. */
  async function readTables(): Promise<{ readonly text: string; readonly bytes: readonly Buffer[] }> {
    const tables = await database.sql<{ name: string }>(
      `select format('%I', tablename) as name from pg_tables where schemaname = 'public'`,
    );
    const bytes: Buffer[] = [];
    let text = '';
    for (const { name } of tables) {
      for (const row of await database.sql<Record<string, unknown>>(`select * from ${name}`)) {
        text += `${JSON.stringify(row)}\n`;
        bytes.push(...Object.values(row).filter((value): value is Buffer => Buffer.isBuffer(value)));
      }
    }
    return { text, bytes };
  }

  it('invariant 8: leaves no secret in the logs, not even at trace level', () => {
    const text = service.logs.map((line) => JSON.stringify(line)).join('\n');
    expect(service.config.runtime.logLevel).toBe('trace');
    expect(service.logs.length).toBeGreaterThan(40);
    expect(text).toContain('refresh_token_reused');
    expect(findSecrets(text, 'the log')).toEqual([]);
    expect(secrets.filter((each) => text.includes(each))).toEqual([]);
    expect(text).not.toContain('$argon2');
  });

  it('invariant 8: repeats no secret in an answer that refuses it', () => {
    expect(refusals.length).toBeGreaterThan(15);
    const text = refusals.map((response) => `${JSON.stringify(response.headers)} ${response.text}`).join('\n');
    expect(secrets.filter((each) => text.includes(each))).toEqual([]);
  });

  it('invariant 8: leaves no secret in the text of a table or of a statement', async () => {
    const { text } = await readTables();
    expect(text).toContain('$argon2id$');
    expect(findSecrets(text, 'the tables')).toEqual([]);
    const statements = await database.sql<{ query: string }>(
      `select query from pg_stat_activity where datname = current_database() and application_name like 'ratchet%'`,
    );
    const statementText = statements.map(({ query }) => query).join('\n');
    expect(statementText).toContain('refresh_token_families');
    expect(secrets.filter((each) => text.includes(each) || statementText.includes(each))).toEqual([]);
  });

  it('invariant 8: leaves no secret in the bytes of a column: hashes and ciphertext only', async () => {
    const { bytes } = await readTables();
    const holds = (needle: Buffer): boolean => bytes.some((value) => value.includes(needle));
    // The hash of the family's secret is there, so the secret was read from the right place.
    expect(pairs.every((pair) => holds(sha256(familySecretOf(pair))))).toBe(true);

    const server = deriveServerKey(Buffer.from(AUTH_SECRET));
    const signer = service.app.get(KeysService).signingKey().privateKey;
    const { d = '' } = signer.export({ format: 'jwk' });
    const forbidden = [
      ...secrets.map((each) => Buffer.from(each)),
      ...pairs.map(familySecretOf),
      ...pairs.map((pair) => tokenBytes(pair).subarray(-32)),
      // Not even what anybody could compute from a guessed key.
      ...keys.map(sha256),
      ...Object.values(server).filter((value) => Buffer.isBuffer(value)),
      Buffer.from(d, 'base64url'),
      signer.export({ type: 'pkcs8', format: 'der' }),
    ];
    expect(bytes.length).toBeGreaterThan(4);
    expect(forbidden.filter(holds)).toEqual([]);
  });
});
