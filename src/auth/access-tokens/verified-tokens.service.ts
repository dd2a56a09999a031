import { hash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { Clock } from '../../platform/common/clock.js';
import { KeysService } from '../../keys/keys.service.js';
import type { VerificationKey } from '../../keys/keys.types.js';
import { readAccessTokenHeader } from './access-token.format.js';
import type { Identity } from '../auth.types.js';

/** As many as a busy process sees within an access token's life; about 15 MB. */
export const MOST_REMEMBERED_TOKENS = 20_000;

interface Remembered {
  readonly identity: Identity;
  readonly key: VerificationKey;
}

/**
 * Tokens whose signature and claims this process has verified in full, so that the next request with the same one need
 * not do it again. Whether the session has ended is asked every time all the same, and elsewhere.
 *
 * A token is known by the SHA-256 of all its characters: another signature, header or claim makes another token. An entry
 * outlives neither the token's `exp` nor the trust in the key that verified it.
 */
@Injectable()
export class VerifiedTokensService {
  /** In the order in which they were verified. */
  private readonly byDigest = new Map<string, Remembered>();

  constructor(
    private readonly keys: KeysService,
    private readonly clock: Clock,
  ) {}

  find(token: string): Identity | undefined {
    const digest = digestOf(token);
    const remembered = this.byDigest.get(digest);
    if (remembered === undefined) {
      return undefined;
    }
    const { identity, key } = remembered;
    // As the JWT library compares: the second in which a token expires is too late.
    const hasExpired = Math.floor(this.clock.now().getTime() / 1000) >= identity.expiresAtSeconds;
    if (hasExpired || this.keys.verificationKey(key.kid) !== key) {
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
