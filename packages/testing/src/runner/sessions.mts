import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import {
  type AccessTokenIssuer,
  type Config,
  type DatabaseService,
  encodeRefreshToken,
  type KeysService,
  RefreshTokenReusedError,
  type ServerKeys,
  type SessionGrant,
  type SessionsService,
  type SignInsService,
  type SigningKey,
  type TokensService,
  toTokenPairDto,
  type UsersService,
} from '@ratchet/server/internal';
import type { SessionBody, TokenAnswer, TokenBody, TokenPairAnswer } from '../contract.js';
import { TestProblem } from './problems.mjs';
import type { Users } from './users.mjs';

/** The kit's own sessions come from nowhere. */
const CLIENT = { ipAddress: undefined, userAgent: 'Ratchet test kit' } as const;

interface Services {
  readonly users: UsersService;
  readonly tokens: TokensService;
  readonly sessions: SessionsService;
  readonly signIns: SignInsService;
  readonly issuer: AccessTokenIssuer;
  readonly keys: KeysService;
  readonly serverKeys: ServerKeys;
  readonly database: DatabaseService;
  readonly config: Config;
}

/** Makes sessions and tokens by the service's own means, and turns them into what a test wants afterwards. */
export class Sessions {
  /** Sessions that tokens name and that have no row, so that a reset can end them. */
  readonly named = new Set<string>();

  constructor(
    private readonly services: Services,
    private readonly made: Users,
  ) {}

  /**
   * Returns the pair of a session in the state that is asked for. The row is as the service leaves it.
   *
   * @throws TestProblem
   */
  async open({ user_id: userId, roles, state = 'live', generation }: SessionBody): Promise<TokenPairAnswer> {
    const { tokens, sessions, config } = this.services;
    let grant = await this.begin(userId, roles);
    grant = await this.moveTo(generation ?? (state === 'reused' ? 2 : 1), grant);
    const { idleTtlSeconds, ttlSeconds } = config.refreshTokens;
    if (state === 'expired' || state === 'idle_expired') {
      grant = await this.age(grant, (state === 'expired' ? ttlSeconds : idleTtlSeconds) + 1);
    } else if (state === 'ended') {
      await tokens.endSessionByIdentity(grant.userId, grant.sessionId, 'logout');
    } else if (state === 'reused') {
      await this.presentUsed(grant);
    }
    return toTokenPairDto(await sessions.tokenPair(grant));
  }

  /**
   * Signs a token of a session of its own. It is the service's own work, and so like that of a login, until one of the
   * other members asks for a difference.
   *
   * @throws TestProblem
   */
  async mint(request: TokenBody): Promise<TokenAnswer> {
    const { tokens, issuer, config } = this.services;
    const grant = await this.begin(request.user_id, request.roles);
    const issuedAtSeconds = grant.issuedAtSeconds - (request.expired === true ? config.accessTokens.ttlSeconds + 1 : 0);
    const { accessToken } = await issuer.issue({ ...grant, issuedAtSeconds, authenticatedAtSeconds: issuedAtSeconds });
    if (request.session === 'ended') {
      await tokens.endSessionByIdentity(grant.userId, grant.sessionId, 'logout');
    }
    const changed = this.change(accessToken, request);
    const { sid } = changed.claims;
    if (typeof sid === 'string' && sid !== grant.sessionId) {
      this.named.add(sid);
    }
    return changed;
  }

  private async begin(knownId: string | undefined, roles: readonly string[] | undefined): Promise<SessionGrant> {
    if (knownId !== undefined && roles !== undefined) {
      throw new TestProblem(400, 'validation_failed', 'roles are those of a new user; leave out user_id or roles.');
    }
    const userId = knownId ?? (await this.made.make([{ ...(roles !== undefined && { roles }) }]))[0]?.id ?? '';
    const { users, tokens, signIns, database } = this.services;
    const signIn = signIns.newSignIn(userId);
    const outcome = await database.transaction(async (transaction) => {
      const locked = await users.lockUser(transaction, userId);
      // A user who has a second factor has proved it.
      const methods = locked?.secondFactors.length === 0 ? (['pwd'] as const) : (['pwd', 'otp', 'mfa'] as const);
      return locked && signIns.open(transaction, locked, methods, { ...signIn, client: CLIENT });
    });
    if (outcome === undefined) {
      throw new TestProblem(
        404,
        'user_unknown',
        'The namespace has no user of this id; make it by POST …/users, after the last reset.',
      );
    }
    const { grant, evictedIds } = signIns.requireOpened(outcome);
    tokens.announceEnded(evictedIds);
    return grant;
  }

  /** Skips the refreshes in between: the number is all that they would have left behind. */
  private async moveTo(generation: number, grant: SessionGrant): Promise<SessionGrant> {
    if (generation === 1) {
      return grant;
    }
    const { tokens, database } = this.services;
    if (generation > 2) {
      await database.query('update refresh_token_families set generation = $2 where id = $1', [
        grant.sessionId,
        generation - 1,
      ]);
    }
    return tokens.refresh(tokens.identify(this.tokenOf(generation - 1, grant)), {
      idempotencyKey: undefined,
      client: CLIENT,
      isAbandoned: () => false,
    });
  }

  private tokenOf(generation: number, { refreshToken }: SessionGrant): string {
    const parts = this.services.tokens.identify(refreshToken);
    return encodeRefreshToken({ ...parts, generation }, this.services.serverKeys.current.refreshTokenMacKey);
  }

  private async presentUsed(grant: SessionGrant): Promise<void> {
    const { tokens } = this.services;
    const { generation } = tokens.identify(grant.refreshToken);
    if (generation === 1) {
      throw new TestProblem(400, 'validation_failed', 'A session is reused at its second generation at the earliest.');
    }
    try {
      await tokens.refresh(tokens.identify(this.tokenOf(generation - 1, grant)), {
        // Not the key of the rotation, and no grace window: a key of the client admits none.
        idempotencyKey: randomBytes(16).toString('hex'),
        client: CLIENT,
        isAbandoned: () => false,
      });
    } catch (error) {
      if (error instanceof RefreshTokenReusedError) {
        return;
      }
      throw error;
    }
    throw new TestProblem(409, 'not_reused', 'REFRESH_GRACE_SECONDS of this namespace lets a used token pass.');
  }

  /** Makes everything of the session so much older. */
  private async age(grant: SessionGrant, bySeconds: number): Promise<SessionGrant> {
    await this.services.database.query(
      `update refresh_token_families
       set created_at = created_at - make_interval(secs => $2), rotated_at = rotated_at - make_interval(secs => $2),
         expires_at = expires_at - make_interval(secs => $2)
       where id = $1`,
      [grant.sessionId, bySeconds],
    );
    return {
      ...grant,
      authenticatedAtSeconds: grant.authenticatedAtSeconds - bySeconds,
      issuedAtSeconds: grant.issuedAtSeconds - bySeconds,
      sessionExpiresAtSeconds: grant.sessionExpiresAtSeconds - bySeconds,
      refreshExpiresInSeconds: 0,
    };
  }

  private change(
    token: string,
    { claims: others = {}, omit = [], typ, kid, signature = 'good' }: TokenBody,
  ): TokenAnswer {
    const [header = {}, original = {}] = token.split('.').slice(0, 2).map(decode);
    const claims = Object.fromEntries(
      Object.entries({ ...original, ...others }).filter(([name]) => !omit.includes(name)),
    );
    const isAsItWas = [others, omit].every((change) => Object.keys(change).length === 0);
    if (isAsItWas && typ === undefined && kid === undefined && signature === 'good') {
      return { access_token: token, claims };
    }
    const key =
      signature === 'unknown-key' ? unknownKey(this.services.keys.signingKey()) : this.services.keys.signingKey();
    const changedHeader = {
      ...header,
      ...(signature === 'none' && { alg: 'none' }),
      ...(typ !== undefined && { typ }),
      kid: kid ?? key.kid,
    };
    const input = `${encode(changedHeader)}.${encode(claims)}`;
    return { access_token: `${input}.${signatureOf(input, key, signature)}`, claims };
  }
}

type Signer = Pick<SigningKey, 'kid' | 'algorithm' | 'privateKey'>;

/** A key of the same kind that no one has published. */
function unknownKey({ algorithm }: Signer): Signer {
  const { privateKey, publicKey } =
    algorithm === 'ES256'
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const kid = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64url');
  return { kid, algorithm, privateKey };
}

function signatureOf(input: string, { privateKey }: Signer, kind: NonNullable<TokenBody['signature']>): string {
  if (kind === 'none') {
    return '';
  }
  const signature = signWith(privateKey, input);
  if (kind === 'broken') {
    signature.writeUInt8(signature.readUInt8(signature.length - 1) ^ 1, signature.length - 1);
  }
  return signature.toString('base64url');
}

/** JWS writes an ECDSA signature as two numbers (RFC 7518 section 3.4). */
function signWith(key: KeyObject, input: string): Buffer {
  return sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(segment: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(segment, 'base64url').toString()) as Record<string, unknown>;
}
