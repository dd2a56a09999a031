import { createHash, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FakeRevocationFeed } from './fake-revocation-feed.js';
import { requireNoProduction } from './not-in-production.js';
import { requireTokenOptions, type Token, type TokenClaims, type TokenOptions } from './token-options.js';

/** The service's default. */
const LIFETIME_SECONDS = 300;

const EXPIRED_FOR_SECONDS = 1;

export interface FakeIssuerOptions {
  /** The `iss` of the tokens. Default: the stand-in's own address. */
  readonly issuer?: string;
  /** The `aud` of the tokens. Default: `ratchet`. */
  readonly audience?: string;
  /** The port on 127.0.0.1. Default: a free one. */
  readonly port?: number;
}

/**
 * Starts a stand-in for Ratchet in this process, without a database: access tokens by a real key, its JWK Set, the issuer's
 * metadata, and the feed of ended sessions. It knows no users, no passwords and no refresh tokens. It does not keep the
 * process alive.
 *
 * @throws RatchetTestError when `NODE_ENV` is `production`
 * @throws Error of `listen` when the port is taken
 */
export async function fakeIssuer(options: FakeIssuerOptions = {}): Promise<FakeIssuer> {
  requireNoProduction('fakeIssuer()');
  const server = createServer();
  server.on('connection', (socket) => socket.unref());
  server.unref().listen(options.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = new FakeIssuer(server, options);
  server.on('request', (request, response) => {
    issuer.answer(request, response);
  });
  return issuer;
}

/** Made by `fakeIssuer()`. */
export class FakeIssuer {
  /** Its address, for the `baseUrl` of a verifier. */
  readonly url: string;
  /** The `iss` of its tokens: the issuer that a verifier expects. */
  readonly issuer: string;
  /** The `aud` of its tokens: the audience that a verifier expects. */
  readonly audience: string;
  readonly jwksUrl: string;
  private readonly key = makeKey();
  private readonly unpublishedKey = makeKey();
  private readonly feed = new FakeRevocationFeed();
  private readonly documents: Readonly<Record<string, Document>>;

  /** Use `fakeIssuer()`. */
  constructor(
    private readonly server: Server,
    { issuer, audience = 'ratchet' }: FakeIssuerOptions,
  ) {
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    this.issuer = issuer ?? this.url;
    this.audience = audience;
    this.jwksUrl = `${this.url}/.well-known/jwks.json`;
    const metadata = makeDocument('application/json; charset=utf-8', { issuer: this.issuer, jwks_uri: this.jwksUrl });
    this.documents = {
      '/.well-known/jwks.json': makeDocument('application/jwk-set+json', { keys: [this.key.jwk] }),
      '/.well-known/oauth-authorization-server': metadata,
      '/.well-known/openid-configuration': metadata,
    };
  }

  /**
   * Makes an access token, as the service would in all that the options do not change.
   *
   * With `session: 'ended'` it resolves like `end`.
   *
   * @throws TypeError for an unknown option
   */
  async token(options: TokenOptions = {}): Promise<Token> {
    requireTokenOptions(options);
    const claims = this.claimsOf(options);
    if (options.session === 'ended') {
      await this.end(claims.sid);
    }
    const { signature = 'good', typ = 'at+jwt' } = options;
    const key = signature === 'unknown-key' ? this.unpublishedKey : this.key;
    const header = { alg: signature === 'none' ? 'none' : 'ES256', typ, kid: options.kid ?? key.jwk.kid };
    const input = `${base64url(header)}.${base64url(claims)}`;
    return { accessToken: `${input}.${signatureOf(input, key.privateKey, signature)}`, claims };
  }

  /**
   * Ends a session. Resolves when every verifier that follows the feed has heard of it, and after a second at the latest:
   * from then on they refuse its tokens.
   *
   * @param sessionId `claims.sid` of a token
   */
  async end(sessionId: string): Promise<void> {
    await this.feed.end(sessionId);
  }

  /** Closes the port and all connections. */
  async stop(): Promise<void> {
    const closed = this.server.listening ? once(this.server, 'close') : undefined;
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  /** @internal */
  answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname, searchParams } = new URL(request.url ?? '/', this.url);
    const document = this.documents[pathname];
    response.setHeader('x-ratchet-test', '1');
    if (request.method !== 'GET') {
      answerProblem(response, 405, 'method_not_allowed', 'The stand-in answers GET only.');
    } else if (document !== undefined) {
      answerDocument(request, response, document);
    } else if (pathname === '/auth/revocations') {
      void this.answerFeed(searchParams, response);
    } else {
      const known = [...Object.keys(this.documents), '/auth/revocations'].join(', ');
      answerProblem(response, 404, 'not_found', `The stand-in has ${known}. For the whole service use startRatchet().`);
    }
  }

  private async answerFeed(query: URLSearchParams, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once('close', () => {
      gone.abort();
    });
    const page = await this.feed.read(query, gone.signal);
    if (page === undefined) {
      answerProblem(response, 400, 'validation_failed', 'No cursor of this feed, or no number of whole seconds.');
    } else {
      response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(page));
    }
  }

  private claimsOf({ user = randomUUID(), roles = [], expired, claims, omit = [] }: TokenOptions): TokenClaims {
    const nowSeconds = Math.floor(Date.now() / 1000);
    const issuedAt = expired === true ? nowSeconds - EXPIRED_FOR_SECONDS - LIFETIME_SECONDS : nowSeconds;
    const all = {
      iss: this.issuer,
      aud: this.audience,
      sub: typeof user === 'string' ? user : user.id,
      sid: randomUUID(),
      jti: randomUUID(),
      iat: issuedAt,
      exp: issuedAt + LIFETIME_SECONDS,
      client_id: 'ratchet',
      auth_time: issuedAt,
      acr: 'aal1',
      ...(roles.length > 0 && { roles, scope: roles.join(' ') }),
      amr: ['pwd'],
      ...claims,
    };
    return Object.fromEntries(Object.entries(all).filter(([name]) => !omit.includes(name))) as unknown as TokenClaims;
  }
}

interface Key {
  readonly privateKey: KeyObject;
  readonly jwk: { readonly kid: string; readonly alg: 'ES256'; readonly use: 'sig'; readonly ratchet_test: true };
}

function makeKey(): Key {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { crv, kty, x, y } = publicKey.export({ format: 'jwk' });
  // RFC 7638: these members in this order.
  const kid = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
  const jwk = { crv, kty, x, y, kid, alg: 'ES256', use: 'sig', ratchet_test: true } as const;
  return { privateKey, jwk };
}

function signatureOf(input: string, key: KeyObject, kind: TokenOptions['signature']): string {
  if (kind === 'none') {
    return '';
  }
  const bytes = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' });
  if (kind === 'broken') {
    bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
  }
  return bytes.toString('base64url');
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

interface Document {
  readonly contentType: string;
  readonly text: string;
  readonly entityTag: string;
}

function makeDocument(contentType: string, content: object): Document {
  const text = JSON.stringify(content);
  return { contentType, text, entityTag: `"${createHash('sha256').update(text).digest('base64url')}"` };
}

/** Sends the headers of the service, so that caches behave as they do there. */
function answerDocument(request: IncomingMessage, response: ServerResponse, document: Document): void {
  response.setHeader('cache-control', 'public, max-age=300').setHeader('etag', document.entityTag);
  if (request.headers['if-none-match'] === document.entityTag) {
    response.writeHead(304).end();
  } else {
    response.writeHead(200, { 'content-type': document.contentType }).end(document.text);
  }
}

function answerProblem(response: ServerResponse, status: number, code: string, detail: string): void {
  response
    .writeHead(status, { 'content-type': 'application/problem+json' })
    .end(JSON.stringify({ type: `urn:ratchet:problem:${code}`, status, code, detail }));
}
