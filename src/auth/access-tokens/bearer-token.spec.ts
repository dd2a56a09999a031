import type { IncomingMessage } from 'node:http';
import { describe, expect, it } from 'vitest';
import { readBearerToken } from './bearer-token.js';

/** What Node gives: the first of several headers, and the raw list of all. */
function requestWith(...authorizations: readonly string[]): IncomingMessage {
  const request: Pick<IncomingMessage, 'headers' | 'rawHeaders'> = {
    headers: authorizations[0] === undefined ? {} : { authorization: authorizations[0] },
    rawHeaders: ['Host', 'localhost', ...authorizations.flatMap((each) => ['AuthoriZation', each])],
  };
  return request as IncomingMessage;
}

describe('readBearerToken', () => {
  it.each(['Bearer a.b-c_d', 'bearer a.b-c_d', 'BEARER   a.b-c_d'])('reads %j', (authorization) => {
    expect(readBearerToken(requestWith(authorization))).toEqual({ kind: 'present', token: 'a.b-c_d' });
  });

  it('finds none where there is no header, or one of another scheme', () => {
    expect(readBearerToken(requestWith())).toEqual({ kind: 'absent' });
    for (const authorization of ['', 'Basic YTpi', 'Bearerish x', 'Token Bearer x']) {
      expect(readBearerToken(requestWith(authorization))).toEqual({ kind: 'absent' });
    }
  });

  it.each(['Bearer', 'Bearer ', 'Bearer a b', 'Bearer a,b', 'Bearer "a"', 'Bearer a=b', 'Bearer\ta', 'Bearer: a'])(
    'takes %j for an attempt that failed',
    (authorization) => {
      expect(readBearerToken(requestWith(authorization))).toEqual({ kind: 'malformed' });
    },
  );

  it('refuses two headers, whatever they say', () => {
    expect(readBearerToken(requestWith('Bearer a', 'Bearer a'))).toEqual({ kind: 'malformed' });
    expect(readBearerToken(requestWith('Basic YTpi', 'Bearer a'))).toEqual({ kind: 'malformed' });
  });
});
