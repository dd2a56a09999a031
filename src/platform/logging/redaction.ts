const REDACTED = '[redacted]';
const MAX_DEPTH = 6;

/** Matched against the end of a key without its case and punctuation: `Set-Cookie`, `new_password`, `clientSecret`. */
const SECRET_KEY =
  /(password|passwordhash|passphrase|secret|secrethash|token|cookie|authorization|credential|idempotencykey|retrykeyhash|privatekey|apikey|totp|otpauthuri|recoverycode)s?$/;

/** A string of a log event is cut to this length: clients send what is in some of them. */
const MAX_STRING_LENGTH = 8_192;

/**
 * Remove secrets that can be recognised by their shape anywhere in a line. Each takes time in proportion to the line:
 * once the beginning of a pattern matches, either all of it does, or it fails within a bounded number of characters.
 * Otherwise a line with many beginnings would be searched from each of them to its end.
 */
const REDACTIONS: readonly ((text: string) => string)[] = [
  (text) => text.replace(/\brt1\.[A-Za-z0-9_-]+/g, `rt1.${REDACTED}`),
  // Tickets, whose prefixes are of the same kind. Shorter pieces are left, because host names begin like that as well.
  (text) => text.replace(/\b([a-z]{2}1)\.[A-Za-z0-9_-]{40,}/g, `$1.${REDACTED}`),
  // A JOSE header is a JSON object, so its base64url begins with `eyJ`; none is shorter than that of `{"alg":"none"}`.
  // With two to four more parts it is a JWS or JWE; a path may be cut in any of them.
  (text) => text.replace(/\beyJ[A-Za-z0-9_-]{16,}(\.[A-Za-z0-9_-]*){0,4}/g, `eyJ${REDACTED}`),
  (text) => text.replace(/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{16,}/gi, `$1 ${REDACTED}`),
  (text) => text.replace(/\bpostgres(?:ql)?:\/\/[^\s"]*/gi, redactConnectionUrl),
  (text) => text.replace(/\botpauth:\/\/[^\s"\\]*/gi, `otpauth://${REDACTED}`),
  // A TOTP secret and a recovery code, in base32.
  (text) => text.replace(/\b(?:[A-Z2-7]{32}|[A-Z2-7]{4}(?:-[A-Z2-7]{4}){3})\b/g, REDACTED),
  (text) => text.replace(/\bpassword=[^\s&"\\;]+/gi, `password=${REDACTED}`),
  (text) => text.replace(/\$argon2id?\$[^\s"\\]+/g, REDACTED),
  (text) =>
    text.replace(/-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|(?=")|$)/gm, REDACTED),
];

/**
 * Copies the fields of a log event without the values under secret names, at any depth. Errors are reduced to type,
 * message, code, stack and cause, because drivers attach the parameters of a query to them. Long strings are cut.
 */
export function redactFields(fields: Record<string, unknown>): Record<string, unknown> {
  return redactObject(fields, MAX_DEPTH);
}

/** Does the same as `redactFields` for one value of any kind. */
export function redactValue(value: unknown, depthLeft = MAX_DEPTH): unknown {
  if (typeof value === 'string') {
    return cut(value);
  }
  if (typeof value !== 'object' || value === null) {
    return typeof value === 'bigint' ? value.toString() : value;
  }
  if (depthLeft === 0) {
    return '[too deep]';
  }
  if (value instanceof Error) {
    return redactError(value, depthLeft - 1);
  }
  if (value instanceof Date) {
    return value;
  }
  if (ArrayBuffer.isView(value)) {
    return `[${value.byteLength} bytes]`;
  }
  if (Array.isArray(value)) {
    return value.map((item: unknown) => redactValue(item, depthLeft - 1));
  }
  return redactObject(value, depthLeft - 1);
}

/** Matches a member with a string value in the finished line. The bound on its name keeps the search linear. */
const STRING_MEMBER = /"((?:[^"\\]|\\.){1,64})":"(?:[^"\\]|\\.)*"/g;

/**
 * The last line of defence: removes secrets from the finished line, whatever wrote them and wherever they are in it.
 */
export function redactLine(line: string): string {
  // Bindings of child loggers are serialized by pino without passing `redactFields`.
  const withoutSecretMembers = line.replace(STRING_MEMBER, (member, key: string) =>
    isSecretKey(key) ? `"${key}":"${REDACTED}"` : member,
  );
  return REDACTIONS.reduce((text, redact) => redact(text), withoutSecretMembers);
}

/** Removes the password, which ends at the last `@`, because an unencoded one may hold others. */
function redactConnectionUrl(url: string): string {
  const userInfoStart = url.indexOf('//') + 2;
  const userInfoEnd = url.lastIndexOf('@');
  const colon = url.indexOf(':', userInfoStart);
  return colon === -1 || colon > userInfoEnd ? url : `${url.slice(0, colon)}:${REDACTED}${url.slice(userInfoEnd)}`;
}

function cut(text: string): string {
  return text.length <= MAX_STRING_LENGTH ? text : `${text.slice(0, MAX_STRING_LENGTH)}… [${text.length} characters]`;
}

function redactObject(object: object, depthLeft: number): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(object).map(([key, value]: [string, unknown]) => [
      key,
      isSecretKey(key) && value !== undefined && value !== null ? REDACTED : redactValue(value, depthLeft),
    ]),
  );
}

function redactError(error: Error, depthLeft: number): Record<string, unknown> {
  return {
    type: error.name,
    message: cut(error.message),
    ...('code' in error && { code: redactValue(error.code, depthLeft) }),
    stack: error.stack === undefined ? undefined : cut(error.stack),
    ...(error.cause !== undefined && { cause: redactValue(error.cause, depthLeft) }),
  };
}

function isSecretKey(key: string): boolean {
  return SECRET_KEY.test(key.toLowerCase().replace(/[^a-z0-9]/g, ''));
}
