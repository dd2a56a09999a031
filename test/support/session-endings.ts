import { expect } from 'vitest';
import { AccountsService } from '../../src/auth/accounts/accounts.service.js';
import { expectProblem } from './problem.js';
import { COMMIT, LOGOUT } from './statements.js';
import { type Account, newPassword, pairOf, sessionIdOf, type TokenPair } from './test-client.js';
import type { TestService } from './test-service.js';

/** The limit that the endings below reckon with. */
export const MAX_SESSIONS = 3;

/** A way in which sessions end. */
export interface Ending {
  readonly name: string;
  /** The statement whose commit ends the sessions; absent where it is not the first of its kind. */
  readonly commit?: RegExp;
  /**
   * @param instance acknowledges the end
   * @returns the access tokens that must be refused from now on
   */
  readonly end: (instance: TestService, account: Account, pair: TokenPair) => Promise<readonly string[]>;
}

export const ENDINGS: readonly Ending[] = [
  {
    name: 'logout by refresh token',
    commit: LOGOUT,
    end: async ({ client }: TestService, _account: Account, pair: TokenPair): Promise<readonly string[]> => {
      expect((await client.logout({ refreshToken: pair.refresh_token })).status).toBe(204);
      return [pair.access_token];
    },
  },
  {
    name: 'logout by access token',
    commit: LOGOUT,
    end: async ({ client }: TestService, _account: Account, pair: TokenPair): Promise<readonly string[]> => {
      expect((await client.logout({ accessToken: pair.access_token })).status).toBe(204);
      return [pair.access_token];
    },
  },
  {
    name: 'the end of one session from another',
    commit: LOGOUT,
    end: async ({ client }: TestService, account: Account, pair: TokenPair): Promise<readonly string[]> => {
      const other = await client.signIn(account);
      expect((await client.endSession(other.access_token, sessionIdOf(pair))).status).toBe(204);
      return [pair.access_token];
    },
  },
  {
    name: 'logout from everywhere',
    commit: COMMIT,
    end: async ({ client }: TestService, _account: Account, pair: TokenPair): Promise<readonly string[]> => {
      expect((await client.logoutAll(pair.access_token)).status).toBe(204);
      return [pair.access_token];
    },
  },
  {
    name: 'a password change',
    commit: COMMIT,
    end: async ({ client }: TestService, account: Account, pair: TokenPair): Promise<readonly string[]> => {
      pairOf(await client.changePassword(pair.access_token, account.password, newPassword()));
      return [pair.access_token];
    },
  },
  {
    name: 'disabling the account',
    commit: COMMIT,
    end: async ({ app }: TestService, account: Account, pair: TokenPair): Promise<readonly string[]> => {
      await app.get(AccountsService).disable(account.id);
      return [pair.access_token];
    },
  },
  {
    name: "an operator's end of all sessions",
    commit: COMMIT,
    end: async ({ app }: TestService, account: Account, pair: TokenPair): Promise<readonly string[]> => {
      await app.get(AccountsService).endSessions(account.id);
      return [pair.access_token];
    },
  },
  {
    name: 'deleting the account',
    commit: COMMIT,
    end: async ({ app }: TestService, account: Account, pair: TokenPair): Promise<readonly string[]> => {
      await app.get(AccountsService).delete(account.id);
      return [pair.access_token];
    },
  },
  {
    name: 'a reuse',
    end: async ({ client }: TestService, _account: Account, pair: TokenPair): Promise<readonly string[]> => {
      const next = await client.rotate(pair.refresh_token);
      expectProblem(await client.refresh(pair.refresh_token), 'refresh_token_reused');
      return [pair.access_token, next.access_token];
    },
  },
  {
    name: 'the session limit',
    end: async ({ client }: TestService, account: Account, pair: TokenPair): Promise<readonly string[]> => {
      for (let count = 0; count < MAX_SESSIONS; count += 1) {
        await client.signIn(account);
      }
      return [pair.access_token];
    },
  },
];
