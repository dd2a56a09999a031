import { describe, expect, it } from 'vitest';

import {
  cookieOriginList,
  directory,
  displayName,
  integerBetween,
  issuerUrl,
  languageTag,
  listenHost,
  mailboxWithName,
  mailTransport,
  oneOf,
  onOrOff,
  originList,
  postgresUrl,
  proxyList,
  redisUrl,
  relyingPartyId,
  singleAudience,
  totpIssuerName,
  webauthnOriginList,
} from './config.parsers.js';

describe('whole numbers', () => {
  const parser = integerBetween(30, 3600);

  it.each([
    ['30', 30],
    ['300', 300],
    ['3600', 3600],
  ])('reads %s', (text, value) => {
    expect(parser.parse(text)).toBe(value);
  });

  it.each(['29', '3601', '10 ', ' 300', '1e3', '0x100', '-30', '+300', '300.0', '1.5', '0300', '٣٠٠', '300s', 'NaN'])(
    'refuses %j: only canonical decimal inside the range is a number',
    (text) => {
      expect(parser.parse(text)).toBeUndefined();
    },
  );

  it('reads zero where zero is allowed', () => {
    expect(integerBetween(0, 60).parse('0')).toBe(0);
    expect(integerBetween(0, 60).parse('-0')).toBeUndefined();
  });
});

describe('choices', () => {
  it('are taken literally: case and white space matter', () => {
    const parser = oneOf('ES256', 'RS256');
    expect(['ES256', 'RS256', 'es256', 'ES256 ', 'HS256', 'none'].map((text) => parser.parse(text))).toEqual([
      'ES256',
      'RS256',
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });

  it('of a switch are on and off, and nothing that could mean either', () => {
    expect(['on', 'off', 'true', '1', 'ON'].map((text) => onOrOff.parse(text))).toEqual([
      true,
      false,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('a database URL', () => {
  it.each([
    'postgres://ratchet:p%40ss%23word@db.example.com:5432/ratchet?sslmode=verify-full',
    'postgresql://db/ratchet',
    'postgres:///ratchet?host=/var/run/postgresql',
  ])('may be %s', (text) => {
    expect(postgresUrl.parse(text)).toBe(text);
  });

  it.each([
    'mysql://db/ratchet',
    'db.example.com:5432/ratchet',
    'postgres://ratchet:pass#word@db/ratchet',
    'postgres://db/ratchet#',
    'postgres://ratchet:100%@db/ratchet',
    'postgres://db/ratchet ',
    'postgres://db/rat\nchet',
    'postgres://db:99999/ratchet',
  ])('may not be %j', (text) => {
    expect(postgresUrl.parse(text)).toBeUndefined();
  });
});

describe('a mistake in a database URL that is known', () => {
  it.each([
    ['postgres://user:pass@one:5432,two:5432/ratchet', /^must name one host: /],
    ['postgres://one,two/ratchet', /^must name one host: /],
    [
      'postgres://user:pass@/ratchet?host=/cloudsql/name',
      /^has a user but no host; a socket is written `postgres:\/\/\//,
    ],
    [
      'postgres://db/ratchet?statement_timeout=0',
      /^must not have one of the parameters binary, .*, which the service sets/,
    ],
    ['postgres://db/ratchet?sslmode=disable&client_encoding=latin1', /^must not have one of the parameters binary, /],
    ['postgres://db/ratchet?schema=auth', /; a schema is chosen by `options=-c%20search_path%3Dname`/],
  ])('is explained: %s', (text, explanation) => {
    expect(postgresUrl.parse(text)).toBeUndefined();
    expect(postgresUrl.explain?.(text)).toMatch(explanation);
  });

  it('is not seen where there is none', () => {
    const texts = [
      'postgres://u:p@db/ratchet?options=-c%20search_path%3Da,b',
      'postgres://db/ratchet?sslmode=verify-full',
    ];
    expect(texts.map((text) => postgresUrl.parse(text))).toEqual(texts);
    expect(['mysql://a,b/c', ...texts].map((text) => postgresUrl.explain?.(text))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
  });
});

describe('a Redis URL', () => {
  it.each(['redis://localhost', 'redis://:p%40ss@redis:6379', 'rediss://user:pass@redis.example.com:6380/2'])(
    'may be %s',
    (text) => {
      expect(redisUrl.parse(text)).toBe(text);
    },
  );

  it.each([
    'redis.example.com:6379',
    'http://redis:6379',
    'redis:///var/run/redis.sock',
    'redis://redis/cache',
    'redis://:pass#word@redis',
    'redis://redis?db=2',
    'redis://:100%@redis',
    'redis://redis ',
  ])('may not be %j', (text) => {
    expect(redisUrl.parse(text)).toBeUndefined();
  });
});

describe('an issuer', () => {
  it.each(['https://auth.example.com', 'https://auth.example.com/tenant/', 'http://localhost:3000'])(
    'is kept as it is written: %s',
    (text) => {
      expect(issuerUrl.parse(text)).toBe(text);
    },
  );

  it.each([
    'auth.example.com',
    '//auth.example.com',
    'https:auth.example.com',
    'ftp://auth.example.com',
    'https://auth.example.com?x=1',
    'https://auth.example.com?',
    'https://auth.example.com/#top',
    'https://auth.example.com/#',
    'https://user:pass@auth.example.com',
    ' https://auth.example.com',
    'https://auth.exa\tmple.com',
  ])('may not be %j', (text) => {
    expect(issuerUrl.parse(text)).toBeUndefined();
  });
});

describe('an audience', () => {
  it.each(['ratchet', 'https://api.example.com/', 'urn:example:api'])('may be %s', (text) => {
    expect(singleAudience.parse(text)).toBe(text);
  });

  it.each(['a,b', 'a b', 'ratchet ', 'rätchet', 'a\u0000b'])('may not be %j', (text) => {
    expect(singleAudience.parse(text)).toBeUndefined();
  });
});

describe('a host to listen on', () => {
  it.each(['127.0.0.1', '0.0.0.0', '::', '::1', 'localhost', 'auth.internal', 'my_host'])('may be %s', (text) => {
    expect(listenHost.parse(text)).toBe(text);
  });

  it.each(['127.0.0.256', '127.0.0', 'localhost:3000', 'http://localhost', '[::1]', '*', '-a', 'a b', 'a'.repeat(254)])(
    'may not be %j',
    (text) => {
      expect(listenHost.parse(text)).toBeUndefined();
    },
  );
});

describe('trusted proxies', () => {
  it('are addresses and CIDRs of both families, in the order given', () => {
    expect(proxyList.parse('10.0.0.0/8, 192.168.1.7,::1,fd00::/8,::ffff:10.0.0.0/104')).toEqual([
      '10.0.0.0/8',
      '192.168.1.7',
      '::1',
      'fd00::/8',
      '::ffff:10.0.0.0/104',
    ]);
  });

  it.each([
    '10.0.0.0/33',
    '10.0.0.0/08',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0.0/255.0.0.0',
    '::/129',
    'fe80::1%eth0',
    'proxy.example.com',
    'loopback',
    'true',
    '*',
    '10.0.0.1,',
    ',',
    '10.0.0.1;10.0.0.2',
  ])('may not be %j', (text) => {
    expect(proxyList.parse(text)).toBeUndefined();
  });

  it.each(['0.0.0.0/0', '::/0'])('are never all addresses: %s is refused', (text) => {
    expect(proxyList.parse(text)).toBeUndefined();
  });
});

describe('CORS origins', () => {
  it('are exact origins, in the order given', () => {
    expect(originList.parse('https://app.example.com, http://localhost:5173')).toEqual([
      'https://app.example.com',
      'http://localhost:5173',
    ]);
  });

  it('may be those of apps', () => {
    const origins = [
      'capacitor://localhost',
      'ionic://localhost',
      'tauri://localhost:1420',
      'chrome-extension://abcdef',
    ];
    expect(originList.parse(origins.join(','))).toEqual(origins);
  });

  it.each([
    '*',
    'null',
    'https://*.example.com',
    'https://app.example.com/',
    'https://app.example.com:443',
    'https://APP.example.com',
    'app.example.com',
    'file:///index.html',
    'file://host',
    'capacitor://',
    'capacitor://localhost/',
    'capacitor://*',
    'Capacitor://localhost',
    'wss://app.example.com',
    'data:text/html,x',
    'https://app.example.com,',
    'https://app.example.com,*',
  ])('may not be %j', (text) => {
    expect(originList.parse(text)).toBeUndefined();
  });
});

describe('cookie origins', () => {
  it('are exact https origins, or http origins of this machine', () => {
    const origins = [
      'https://app.example.com',
      'https://example.com:8443',
      'http://localhost:5173',
      'http://app.localhost',
      'http://127.0.0.1:5173',
      'http://[::1]:5173',
    ];
    expect(cookieOriginList.parse(origins.join(', '))).toEqual(origins);
  });

  it.each([
    '*',
    'null',
    'https://*.example.com',
    'https://app.example.com/',
    'https://APP.example.com',
    'http://app.example.com',
    'http://localhost.example.com',
    'http://10.0.0.1',
    'capacitor://localhost',
    'https://app.example.com,',
  ])('may not be %j', (text) => {
    expect(cookieOriginList.parse(text)).toBeUndefined();
  });
});

describe('the domain of passkeys', () => {
  it.each(['example.com', 'localhost', 'xn--bcher-kva.example'])('may be %s', (text) => {
    expect(relyingPartyId.parse(text)).toBe(text);
  });

  it.each([
    '',
    'Example.com',
    'https://example.com',
    'example.com:443',
    '127.0.0.1',
    '[::1]',
    'example.com.',
    '-a.example',
  ])('may not be %j', (text) => {
    expect(relyingPartyId.parse(text)).toBeUndefined();
  });
});

describe('the origins of passkeys', () => {
  it('are https origins, http origins of this machine, and Android apps', () => {
    const origins = ['https://example.com', 'http://localhost:5173', `android:apk-key-hash:${'A'.repeat(43)}`];
    expect(webauthnOriginList.parse(origins.join(', '))).toEqual(origins);
  });

  it.each(['http://example.com', 'https://example.com/', 'android:apk-key-hash:', 'ios:bundle-id:a', '*', 'null'])(
    'are not %j',
    (text) => {
      expect(webauthnOriginList.parse(text)).toBeUndefined();
    },
  );
});

describe('what an authenticator app shows', () => {
  it('is a name without a colon, a control character and white space around it', () => {
    expect(totpIssuerName.parse('Example Inc.')).toBe('Example Inc.');
    for (const text of ['a:b', 'a\nb', ' a', 'a ', '', 'x'.repeat(65)]) {
      expect(totpIssuerName.parse(text)).toBeUndefined();
    }
    expect(displayName.parse('a:b')).toBe('a:b');
  });
});

describe('a directory', () => {
  it('is any path without control characters', () => {
    expect(['.ratchet', '/var/lib/my data', 'a\u0000b', 'a\nb'].map((text) => directory.parse(text))).toEqual([
      '.ratchet',
      '/var/lib/my data',
      undefined,
      undefined,
    ]);
  });
});

describe('where mails go', () => {
  it('is a file or an SMTP server', () => {
    expect(mailTransport.parse('file')).toEqual({ kind: 'files' });
    for (const url of [
      'smtp://relay',
      'smtp://relay.example.com:25/',
      'smtps://user:p%40ss@mail.example.com:465',
      'smtp://user:pass@mail.example.com:587?requireTLS=true',
      'smtp://[::1]:1025',
    ]) {
      expect(mailTransport.parse(url)).toEqual({ kind: 'smtp', url });
    }
  });

  it.each([
    'files',
    'smtp:',
    'smtp://',
    'smtp://:25',
    'smtp://relay/path',
    'smtp://relay?pool=true',
    'smtp://relay?requireTLS=yes',
    'smtp://relay#x',
    'smtp://user:100%@relay',
    'smtp://relay:port',
    'http://relay',
    'smtp://re lay',
    'smtp://relay\r\n',
  ])('may not be %j', (text) => {
    expect(mailTransport.parse(text)).toBeUndefined();
  });
});

describe('a sender', () => {
  it('is a name and an address', () => {
    expect(mailboxWithName.parse('Example Inc. <no-reply@example.com>')).toEqual({
      name: 'Example Inc.',
      address: 'no-reply@example.com',
    });
    expect(mailboxWithName.parse('예시 <a@localhost>')).toEqual({ name: '예시', address: 'a@localhost' });
  });

  it.each([
    'no-reply@example.com',
    '<no-reply@example.com>',
    'Example <no-reply@example.com>, Eve <eve@example.com>',
    'Example <a@b@c>',
    'Example <no reply@example.com>',
    'Ex"ample <no-reply@example.com>',
    'Example\r\nBcc: eve@example.com <no-reply@example.com>',
    'Example <no-reply@example.com>\n',
  ])('may not be %j', (text) => {
    expect(mailboxWithName.parse(text)).toBeUndefined();
  });
});

describe('a language', () => {
  it('is a tag of BCP 47 with a lower-case language', () => {
    const texts = ['en', 'ko', 'pt-BR', 'zh-Hant-TW', 'EN', 'english', 'en_US', '../en', ''];
    expect(texts.filter((text) => languageTag.parse(text) !== undefined)).toEqual(['en', 'ko', 'pt-BR', 'zh-Hant-TW']);
  });
});
