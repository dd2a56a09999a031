import { hash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { DatabaseClock } from '../../platform/database/database-clock.js';
import { KeysService } from '../../keys/keys.service.js';
import type { VerificationKey } from '../../keys/keys.types.js';
import { readAccessTokenHeader } from './access-token.format.js';
import type { Identity } from '../auth.types.js';

/** A busy process sees so many within the life of an access token; about 17 MB. */
export const MOST_REMEMBERED_TOKENS = 20_000;

interface Remembered {
  readonly identity: Identity;
  readonly key: VerificationKey;
}

/**
 * Caches tokens whose signature and claims this process has fully verified, so that the next request with the same
 * token need not verify it again. The guard still checks with every request whether the session has ended.
 *
 * The key of an entry is the SHA-256 of the whole token, so a changed signature, header or claim is another token. An
 * entry outlives neither the token's `exp` nor the trust in the key that verified it.
 */
@Injectable()
export class VerifiedTokensService {
  /** Keeps the order in which they were verified. */
  private readonly byDigest = new Map<string, Remembered>();

  constructor(
    private readonly keys: KeysService,
    private readonly clock: DatabaseClock,
  ) {}

  find(token: string): Identity | undefined {
    const digest = digestOf(token);
    const remembered = this.byDigest.get(digest);
    if (remembered === undefined) {
      return undefined;
    }
    const { identity, key } = remembered;
    if (this.clock.nowSeconds() >= identity.expiresAtSeconds || this.keys.verificationKey(key.kid) !== key) {
      this.byDigest.delete(digest);
      return undefined;
    }
    return identity;
  }

  /** @param identity what a full verification of the token has just found */
  remember(token: string, identity: Identity): void {
    const kid = readAccessTokenHeader(token)?.kid;
    const key = kid === undefined ? undefined : this.keys.verificationKey(kid);
    if (key === undefined) {
      return;
    }
    if (this.byDigest.size >= MOST_REMEMBERED_TOKENS) {
      const [oldest = ''] = this.byDigest.keys();
      this.byDigest.delete(oldest);
    }
    this.byDigest.set(digestOf(token), { identity: Object.freeze({ ...identity }), key });
  }
}

function digestOf(token: string): string {
  return hash('sha256', token, 'base64');
}
