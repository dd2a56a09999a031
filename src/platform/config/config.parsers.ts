import { isIP } from 'node:net';

/**
 * Turns the text of one variable into its value. The expectation is constant text and never made from the input, so
 * that no value can reach a message.
 */
export interface Parser<T> {
  /** A noun phrase that completes both "must be …" and a cell of the table in docs/configuration.md. */
  readonly accepts: string;
  /** A clause that says how to fix the value, for problems only. */
  readonly hint?: string;
  /** Says in constant text what is wrong with a text, where that can be said better than by `accepts`. */
  readonly explain?: (text: string) => string | undefined;
  /** The value of a variable that is unset and has no default; absent: `undefined`. */
  readonly empty?: T;
  /** @returns `undefined` when the text is not acceptable */
  parse(text: string): T | undefined;
}

/** A list of which an unset variable has no items. */
export interface ListParser<T> extends Parser<readonly T[]> {
  readonly empty: readonly T[];
}

/** Canonical decimal only: `10 `, `1e3`, `0x10`, `007` and `1.5` are mistakes, not numbers. */
export function integerBetween(least: number, most: number): Parser<number> {
  return {
    accepts: `a whole number from ${least} to ${most}`,
    parse: (text) => {
      const value = /^(0|[1-9]\d{0,14})$/.test(text) ? Number(text) : NaN;
      return value >= least && value <= most ? value : undefined;
    },
  };
}

export function oneOf<T extends string>(...choices: readonly T[]): Parser<T> {
  return {
    accepts: 'one of ' + choices.map((choice) => `\`${choice}\``).join(', '),
    parse: (text) => choices.find((choice) => choice === text),
  };
}

export const onOrOff: Parser<boolean> = {
  accepts: '`on` or `off`',
  parse: (text) => (text === 'on' ? true : text === 'off' ? false : undefined),
};

const POSTGRES_SCHEME = /^postgres(ql)?:\/\//;

/** Settings of the driver and of a session that the service sets itself; a URL would win over it without notice. */
const SET_BY_THE_SERVICE = [
  'binary',
  'client_encoding',
  'encoding',
  'idle_in_transaction_session_timeout',
  'lock_timeout',
  'query_timeout',
  'replication',
  'statement_timeout',
];

/** What other programs call the schema in a URL. This driver reads none of them. */
const NAMES_OF_A_SCHEMA = ['currentSchema', 'schema', 'search_path'];

const POSTGRES_URL_MISTAKES: readonly { readonly isMade: (text: string) => boolean; readonly problem: string }[] = [
  {
    isMade: (text) => /^[^/?#]*\/\/[^/?#]*,/.test(text),
    problem:
      'must name one host: the address that leads to the primary after a failover as well, such as the read-write ' +
      'endpoint of a managed database',
  },
  {
    isMade: (text) => /^[^/?#]*\/\/[^/?#]*@(?:[/?]|$)/.test(text),
    problem:
      'has a user but no host; a socket is written `postgres:///database?host=/folder&user=name&password=password`',
  },
  {
    isMade: (text) => hasParameter(text, SET_BY_THE_SERVICE),
    problem: `must not have one of the parameters ${SET_BY_THE_SERVICE.join(', ')}, which the service sets itself`,
  },
  {
    isMade: (text) => hasParameter(text, NAMES_OF_A_SCHEMA),
    problem:
      `must not have one of the parameters ${NAMES_OF_A_SCHEMA.join(', ')}; a schema is chosen by ` +
      '`options=-c%20search_path%3Dname`, or by "alter role … set search_path = name"',
  },
];

function hasParameter(text: string, names: readonly string[]): boolean {
  const url = parseUrl(text);
  return url !== undefined && names.some((name) => url.searchParams.has(name));
}

/**
 * A fragment is refused because it is always the end of a password whose `#` was not percent-encoded: the driver would
 * drop it and log in with half a password.
 */
export const postgresUrl: Parser<string> = {
  accepts: 'a `postgres://` or `postgresql://` URL, with special characters of the password percent-encoded',
  explain: (text) =>
    POSTGRES_SCHEME.test(text) ? POSTGRES_URL_MISTAKES.find(({ isMade }) => isMade(text))?.problem : undefined,
  parse: (text) => {
    const url = parseUrl(text);
    const isMistaken = POSTGRES_URL_MISTAKES.some(({ isMade }) => isMade(text));
    if (url === undefined || isMistaken || !POSTGRES_SCHEME.test(text) || text.includes('#')) {
      return undefined;
    }
    return isPercentEncoded(url.username) && isPercentEncoded(url.password) ? text : undefined;
  },
};

/** A path is the number of a database; the driver reads any other path as number 0. */
export const redisUrl: Parser<string> = {
  accepts: 'a `redis://` or `rediss://` URL, with special characters of the password percent-encoded',
  parse: (text) => {
    const url = parseUrl(text);
    if (url === undefined || !/^rediss?:\/\/[^?#]+$/.test(text) || !/^(\/\d*)?$/.test(url.pathname)) {
      return undefined;
    }
    return isPercentEncoded(url.username) && isPercentEncoded(url.password) ? text : undefined;
  },
};

export type MailTransport = { readonly kind: 'files' } | { readonly kind: 'smtp'; readonly url: string };

/** No path and no other parameter: what is given there would be ignored. */
const SMTP_URL = /^smtps?:\/\/[^/?#]+\/?(?:\?requireTLS=(?:true|false))?$/;

export const mailTransport: Parser<MailTransport> = {
  accepts:
    '`file`, or an `smtp://` or `smtps://` URL with `?requireTLS=true` or without, and special characters of the password percent-encoded',
  parse: (text) => {
    if (text === 'file') {
      return { kind: 'files' };
    }
    const url = parseUrl(text);
    if (url === undefined || url.hostname === '' || !SMTP_URL.test(text)) {
      return undefined;
    }
    return isPercentEncoded(url.username) && isPercentEncoded(url.password) ? { kind: 'smtp', url: text } : undefined;
  },
};

export interface MailboxWithName {
  readonly name: string;
  readonly address: string;
}

const MAILBOX_WITH_NAME =
  /^([^<>"\\]{1,128}) <([a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)>$/i;

export const mailboxWithName: Parser<MailboxWithName> = {
  accepts: 'a name and an address, `Example <no-reply@example.com>`',
  parse: (text) => {
    const [, name, address] = MAILBOX_WITH_NAME.exec(text) ?? [];
    return name === undefined || address === undefined || hasControlCharacters(text) ? undefined : { name, address };
  },
};

export const languageTag: Parser<string> = {
  accepts: 'a language tag such as `en` or `pt-BR`',
  parse: (text) => (/^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}$/.test(text) ? text : undefined),
};

/** RFC 8414 §2: an issuer has no query and no fragment. It is compared byte for byte, so it is kept as written. */
export const issuerUrl: Parser<string> = {
  accepts: 'an absolute `https://` or `http://` URL without user, query or fragment',
  parse: (text) => {
    const url = parseUrl(text);
    if (url === undefined || !isHttp(url) || !/^https?:\/\//.test(text) || /[?#]/.test(text)) {
      return undefined;
    }
    return url.username === '' && url.password === '' ? text : undefined;
  },
};

/** Spaces and commas are legal in an `aud` claim, but here they show that a list was meant. */
export const singleAudience: Parser<string> = {
  accepts: 'one name or URL in printable ASCII, without spaces or commas',
  parse: (text) => (/^[!-+\--~]+$/.test(text) ? text : undefined),
};

export const listenHost: Parser<string> = {
  accepts: 'an IP address or a host name',
  parse: (text) => {
    const isHostName = text.length <= 253 && /^[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?$/i.test(text);
    // A name of only digits and dots is a mistyped IPv4 address.
    return isIP(text) !== 0 || (isHostName && !/^[\d.]+$/.test(text)) ? text : undefined;
  },
};

export const directory: Parser<string> = {
  accepts: 'a path without control characters',
  parse: (text) => (hasControlCharacters(text) ? undefined : text),
};

/** A prefix of 0 would trust every client, and the HTTP server refuses it too. */
export const proxyList: ListParser<string> = {
  empty: [],
  accepts: 'a comma-separated list of IP addresses or CIDRs',
  parse: (text) => parseList(text, isAddressOrCidr),
};

/** What the web view of an app sends, such as `capacitor://localhost`: a scheme of its own and a host. */
const APP_ORIGIN = /^(?!https?:|wss?:|ftp:|file:)[a-z][a-z0-9+.-]*:\/\/[a-z0-9_.-]+(?::\d{1,5})?$/;

/**
 * `*` and `null` are not origins, and an origin has no path: a text that is not in canonical form would match nothing.
 */
export const originList: ListParser<string> = {
  empty: [],
  accepts: 'a comma-separated list of exact origins such as `https://app.example.com`',
  parse: (text) =>
    parseList(text, (origin) => {
      const url = parseUrl(origin);
      if (url === undefined || origin.includes('*')) {
        return false;
      }
      return isHttp(url) ? url.origin === origin : APP_ORIGIN.test(origin);
    }),
};

/** Browsers take the names of this machine for a secure context, so that pages under development need no TLS. */
export const cookieOriginList: ListParser<string> = {
  empty: [],
  accepts: 'a comma-separated list of exact `https` origins, or `http` origins of this machine',
  parse: (text) => parseList(text, isSecureOrigin),
};

function isSecureOrigin(origin: string): boolean {
  const url = parseUrl(origin);
  const isExact = url?.origin === origin && !origin.includes('*');
  return isExact && (url.protocol === 'https:' || isThisMachineByHttp(url));
}

/** A colon would end the issuer in the label of a TOTP URI, where some apps read it. */
export const totpIssuerName: Parser<string> = {
  accepts: 'a name of up to 64 characters without a colon',
  parse: (text) => (text.includes(':') ? undefined : displayName.parse(text)),
};

export const displayName: Parser<string> = {
  accepts: 'a name of up to 64 characters',
  parse: (text) =>
    text.length > 0 && text.length <= 64 && text.trim() === text && !hasControlCharacters(text) ? text : undefined,
};

/** WebAuthn knows no port, no address and no public suffix; browsers check the last. */
export const relyingPartyId: Parser<string> = {
  accepts: 'a domain in lower case such as `example.com`, without scheme and port',
  parse: (text) => {
    const isDomain =
      text.length <= 253 && /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z][a-z0-9-]{0,61}[a-z0-9]$/.test(text);
    return isDomain ? text : undefined;
  },
};

/** What an Android app signs for, in place of an origin. */
const ANDROID_ORIGIN = /^android:apk-key-hash:[A-Za-z0-9_-]{27,86}$/;

/** Browsers have WebAuthn in secure contexts only, and take this machine for one. */
export const webauthnOriginList: ListParser<string> = {
  empty: [],
  accepts:
    'a comma-separated list of exact `https` origins, `http` origins of this machine, or `android:apk-key-hash:` and a hash',
  parse: (text) => parseList(text, (origin) => ANDROID_ORIGIN.test(origin) || isSecureOrigin(origin)),
};

export function isThisMachineByHttp({ protocol, hostname }: URL): boolean {
  return protocol === 'http:' && /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

/** Spaces around a comma are tolerated, empty items are not. */
export function splitList(text: string): readonly string[] {
  return text.split(',').map((item) => item.trim());
}

function parseList(text: string, isAcceptable: (item: string) => boolean): readonly string[] | undefined {
  const items = splitList(text);
  return items.every(isAcceptable) ? items : undefined;
}

/** The URL class drops white space and control characters silently; here they are mistakes. */
function parseUrl(text: string): URL | undefined {
  return /\s/.test(text) || hasControlCharacters(text) || !URL.canParse(text) ? undefined : new URL(text);
}

function isHttp(url: URL): boolean {
  return url.protocol === 'https:' || url.protocol === 'http:';
}

function isPercentEncoded(component: string): boolean {
  try {
    decodeURIComponent(component);
    return true;
  } catch {
    return false;
  }
}

function isAddressOrCidr(text: string): boolean {
  const [address = '', prefixLength, ...rest] = text.split('/');
  const version = isIP(address);
  // A zone (`fe80::1%eth0`) means something on one machine only.
  if (version === 0 || address.includes('%') || rest.length > 0) {
    return false;
  }
  return prefixLength === undefined || integerBetween(1, version === 4 ? 32 : 128).parse(prefixLength) !== undefined;
}

export function hasControlCharacters(text: string): boolean {
  return /\p{Cc}/u.test(text);
}
