import { InsufficientUserAuthenticationError, type VerificationError, type VerificationErrorCode } from './errors.js';

/** An answer as application/problem+json (RFC 9457), identical to the service's own. */
export interface Problem {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: {
    readonly type: string;
    readonly title: string;
    readonly status: number;
    readonly detail: string;
    readonly code: VerificationErrorCode;
  };
}

interface Sentence {
  readonly title: string;
  readonly detail: string;
  /** Absent when the request carried no bearer token (RFC 6750 section 3.1). */
  readonly challengeError?: string;
}

const SENTENCES: Readonly<Record<VerificationErrorCode, Sentence>> = {
  access_token_missing: {
    title: 'Access token missing',
    detail: 'This resource needs an access token in the Authorization header.',
  },
  access_token_invalid: {
    title: 'Access token invalid',
    detail: 'The access token is not one that this service issued.',
    challengeError: 'invalid_token',
  },
  access_token_expired: {
    title: 'Access token expired',
    detail: 'The access token has expired; refresh it.',
    challengeError: 'invalid_token',
  },
  access_token_revoked: {
    title: 'Access token revoked',
    detail: 'The session of this access token has ended.',
    challengeError: 'invalid_token',
  },
  insufficient_user_authentication: {
    title: 'Stronger or more recent authentication required',
    detail: 'The user has proved too little for this, or too long ago; authenticate again and repeat the request.',
    challengeError: 'insufficient_user_authentication',
  },
  insufficient_role: {
    title: 'Insufficient role',
    detail: 'The access token does not carry a role that this resource asks for.',
    challengeError: 'insufficient_scope',
  },
  cross_site_request: {
    title: 'Cross-site request',
    detail: 'A cookie counts only in requests of pages that this service knows; nothing was done.',
  },
  temporarily_unavailable: {
    title: 'Temporarily unavailable',
    detail: 'The service cannot answer right now. Nothing was done; retry later.',
  },
};

/**
 * Returns what a client may know about an error: constant text per code, and the challenge that RFC 9110 requires on a
 * 401.
 */
export function toProblem(error: VerificationError): Problem {
  const { code, status } = error;
  const { title, detail, challengeError } = SENTENCES[code];
  const reason =
    challengeError === undefined ? '' : `, error="${challengeError}", error_description="${detail}"${demandOf(error)}`;
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      ...(status === 503 && { 'retry-after': '1' }),
      ...((status === 401 || reason !== '') && { 'www-authenticate': `Bearer realm="ratchet"${reason}` }),
    },
    body: { type: `urn:ratchet:problem:${code}`, title, status, detail, code },
  };
}

/** The members of RFC 9470 section 3. */
function demandOf(error: VerificationError): string {
  if (!(error instanceof InsufficientUserAuthenticationError)) {
    return '';
  }
  const { acrValues, maxAgeSeconds } = error;
  return (
    (acrValues === undefined ? '' : `, acr_values="${acrValues}"`) +
    (maxAgeSeconds === undefined ? '' : `, max_age=${maxAgeSeconds}`)
  );
}
