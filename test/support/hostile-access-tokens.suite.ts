import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ProblemCode } from '../../src/platform/common/domain.errors.js';
import { EXPIRED_ACCESS_TOKENS, HOSTILE_ACCESS_TOKENS, type HostileToken } from './hostile-access-tokens.js';
import { usedMemoryBytes } from './memory.js';
import { exchange } from './raw-exchange.js';
import { type RawAnswer, sendRaw } from './raw-request.js';
import { recordStatements } from './statement-log.js';
import type { TokenPair } from './test-client.js';
import { TokenForge } from './token-forge.js';
import { TrapServer } from './trap-server.js';
import { useDatabase, useInstance, useProxy } from './use-service.js';

const MEGABYTE = 1024 * 1024;
const MEGABYTE_TOKENS = 64;

/** All of them together hold many times as much. */
const LARGEST_GROWTH_BYTES = 8 * MEGABYTE;

/** Bounds each of them, on a machine that does much else. */
const LONGEST_REFUSAL_MS = 1_000;

/** A route that lets nobody pass without a good access token; a good one is answered with 200. */
export interface GuardedRoute {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** Asserts the whole of an answer that refuses for this reason. */
  readonly expectDenied: (answer: RawAnswer, code: DenialCode) => void;
}

export type DenialCode = Extract<
  ProblemCode,
  'access_token_missing' | 'access_token_invalid' | 'access_token_expired' | 'access_token_revoked'
>;

type Header = readonly [name: string, value: string];

/**
 * Shows that a guarded route refuses every hostile access token, and that doing so costs no statement, no outbound
 * connection and no memory.
 */
export function describeHostileAccessTokens({ method, path, expectDenied }: GuardedRoute): void {
  describe(`${method} ${path}`, () => {
    const database = useDatabase();
    const proxy = useProxy(database);
    const service = useInstance(proxy);
    let trap: TrapServer;
    let pair: TokenPair;
    let forge: TokenForge;
    /** What has reached the database. */
    let statements: readonly string[];

    beforeAll(async () => {
      trap = await TrapServer.start();
      const account = await service.client.signUp();
      // So that the genuine token has each claim that a hostile one may have twice.
      await database.sql(`update users set roles = '{reader}' where id = $1`, [account.id]);
      pair = await service.client.signIn(account);
      forge = await TokenForge.like(pair.access_token, database);
      statements = recordStatements(proxy);
    });

    afterAll(() => trap.close());

    function ask(headers: readonly Header[], query = ''): Promise<RawAnswer> {
      return sendRaw(service.url, { method, path: path + query, headers });
    }

    function askWith(token: string): Promise<RawAnswer> {
      return ask([['authorization', `Bearer ${token}`]]);
    }

    /** Refused for this reason, without a question to the database or to anybody else. */
    async function expectDeniedUnasked(answer: Promise<RawAnswer>, code: DenialCode): Promise<void> {
      const { length: statementsBefore } = statements;
      const { visits: visitsBefore } = trap;
      expectDenied(await answer, code);
      expect(statements.slice(statementsBefore)).toEqual([]);
      expect(trap.visits).toBe(visitsBefore);
    }

    async function expectAllowed(headers: readonly Header[]): Promise<void> {
      expect((await ask(headers)).status).toBe(200);
    }

    it('lets a good token pass, also one that the test has signed like the service', async () => {
      await expectAllowed([['authorization', `Bearer ${forge.genuine}`]]);
      await expectAllowed([['authorization', `Bearer ${forge.withClaims({})}`]]);
      const iat = Math.floor(Date.now() / 1000);
      await expectAllowed([['authorization', `Bearer ${forge.withClaims({ iat, exp: iat + 3_600 })}`]]);
    });

    describe.each(Object.entries(HOSTILE_ACCESS_TOKENS))('refuses a token with %s', (_what, tokens) => {
      it.each<HostileToken>(tokens)('$kind', async ({ make }) => {
        await expectDeniedUnasked(askWith(make(forge, trap.url)), 'access_token_invalid');
      });
    });

    describe('refuses a token that is over, without tolerance', () => {
      it.each<HostileToken>(EXPIRED_ACCESS_TOKENS)('$kind', async ({ make }) => {
        await expectDeniedUnasked(askWith(make(forge, trap.url)), 'access_token_expired');
      });
    });

    it('refuses a refresh token for an access token', async () => {
      await expectDeniedUnasked(askWith(pair.refresh_token), 'access_token_invalid');
    });

    it('lets a revoked token stay revoked whatever is done to its signature', async () => {
      const ended = await service.client.signUpAndIn();
      const { genuine, mirrored } = await TokenForge.like(ended.pair.access_token, database);
      expect(mirrored).not.toBe(genuine);
      await expectAllowed([['authorization', `Bearer ${mirrored}`]]);
      await service.client.logout({ accessToken: genuine });
      for (const token of [genuine, mirrored]) {
        await expectDeniedUnasked(askWith(token), 'access_token_revoked');
      }
    });

    describe('reads the token from one Authorization header and from nowhere else', () => {
      it('whatever the case of the scheme, and with more spaces than one', async () => {
        for (const scheme of ['Bearer', 'bearer', 'BEARER', 'Bearer  ']) {
          await expectAllowed([['authorization', `${scheme} ${forge.genuine}`]]);
        }
      });

      it.each(['Basic dXNlcjpwYXNz', 'DPoP x', 'Negotiate', 'Bearerx y', 'Token Bearer x', 'Digest username="x"', ''])(
        '%j counts as none',
        async (authorization) => {
          await expectDeniedUnasked(ask([['authorization', authorization]]), 'access_token_missing');
        },
      );

      it.each(['DPoP', 'Token', 'JWT', 'Basic', 'X-Bearer'])(
        'a good token under the scheme %s counts as none',
        async (scheme) => {
          await expectDeniedUnasked(ask([['authorization', `${scheme} ${forge.genuine}`]]), 'access_token_missing');
        },
      );

      it('a bearer header without exactly one token is invalid', async () => {
        const token = forge.genuine;
        for (const authorization of [
          'Bearer',
          'Bearer ',
          `Bearer ${token} ${token}`,
          `Bearer ${token},x`,
          `Bearer: ${token}`,
        ]) {
          await expectDeniedUnasked(ask([['authorization', authorization]]), 'access_token_invalid');
        }
      });

      it('two headers are invalid, whatever they say and in whatever order', async () => {
        const good = `Bearer ${forge.genuine}`;
        for (const [first, second] of [
          [good, good],
          [good, 'Bearer x'],
          ['Bearer x', good],
          ['Basic eDp5', good],
          [good, ''],
        ] as const) {
          await expectDeniedUnasked(
            ask([
              ['authorization', first],
              ['Authorization', second],
            ]),
            'access_token_invalid',
          );
        }
      });

      it('a good token in the query, a cookie or another header counts as none', async () => {
        const token = forge.genuine;
        for (const name of ['access_token', 'token', 'authorization', 'bearer']) {
          await expectDeniedUnasked(ask([], `?${name}=${token}`), 'access_token_missing');
          await expectDeniedUnasked(ask([['cookie', `${name}=${token}`]]), 'access_token_missing');
        }
        for (const name of ['proxy-authorization', 'x-authorization', 'x-access-token', 'x-forwarded-authorization']) {
          await expectDeniedUnasked(ask([[name, `Bearer ${token}`]]), 'access_token_missing');
        }
        await expectDeniedUnasked(ask([]), 'access_token_missing');
      });

      it('a bad token in the header is not made good by a good one elsewhere', async () => {
        const headers: readonly Header[] = [
          ['authorization', 'Bearer x'],
          ['cookie', `access_token=${forge.genuine}`],
        ];
        await expectDeniedUnasked(ask(headers, `?access_token=${forge.genuine}`), 'access_token_invalid');
      });
    });

    describe('refuses what is larger than any token before it has read it', () => {
      it('a key id of 64 KiB', async () => {
        const { length: statementsBefore } = statements;
        const token = forge.withHeader({ kid: 'k'.repeat(64 * 1024) });
        expect(await statusOf(token)).toBe(431);
        expect(statements.slice(statementsBefore)).toEqual([]);
      });

      it(`${MEGABYTE_TOKENS} tokens of a megabyte each, quickly and without holding on to any of it`, async () => {
        const token = `${forge.segments.header}.${'A'.repeat(MEGABYTE)}.${forge.segments.signature}`;
        await statusOf(token);
        const { length: statementsBefore } = statements;
        const memoryBefore = usedMemoryBytes();
        for (let count = 0; count < MEGABYTE_TOKENS; count++) {
          const startedAtMs = performance.now();
          // A client that goes on sending may lose the answer; its request is refused nevertheless.
          expect([431, undefined]).toContain(await statusOf(token));
          expect(performance.now() - startedAtMs).toBeLessThan(LONGEST_REFUSAL_MS);
        }
        expect(usedMemoryBytes() - memoryBefore).toBeLessThan(LARGEST_GROWTH_BYTES);
        expect(statements.slice(statementsBefore)).toEqual([]);
      });

      /** Undefined when the connection is cut. */
      async function statusOf(token: string): Promise<number | undefined> {
        const { host } = new URL(service.url);
        const request = `${method} ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n\r\n`;
        const status = /^HTTP\/1\.1 (\d{3}) /.exec(await exchange(service.url, request))?.[1];
        return status === undefined ? undefined : Number(status);
      }
    });

    it('has survived all of it: the good token is good, and nobody has been asked for a key', async () => {
      await expectAllowed([['authorization', `Bearer ${forge.genuine}`]]);
      expect(trap.visits).toBe(0);
      expect(service.logs.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
    });
  });
}
