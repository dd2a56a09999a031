const REDACTED = '[redacted]';
const MAX_DEPTH = 6;

/** Matched against the end of a key without its case and punctuation: `Set-Cookie`, `new_password`, `clientSecret`. */
const SECRET_KEY =
  /(password|passwordhash|passphrase|secret|secrethash|token|cookie|authorization|credentials?|idempotencykey|retrykeyhash|privatekey|apikey)s?$/;

/** Secrets that can be recognised by their shape anywhere in a line. */
const SECRET_PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/\brt1\.[A-Za-z0-9_-]+/g, `rt1.${REDACTED}`],
  // A JOSE header is a JSON object, so its base64url begins with `eyJ`; with two to four more parts, JWS or JWE.
  [/\beyJ[A-Za-z0-9_-]*(\.[A-Za-z0-9_-]*){2,4}/g, `eyJ${REDACTED}`],
  [/\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{16,}/gi, `$1 ${REDACTED}`],
  [/\b(postgres(?:ql)?:\/\/[^\s:@/"]*):[^\s"]*@/gi, `$1:${REDACTED}@`],
  [/\bpassword=[^\s&"\\;]+/gi, `password=${REDACTED}`],
  [/\$argon2id?\$[^\s"\\]+/g, REDACTED],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|(?="))/g, REDACTED],
];

/**
 * Copies the fields of a log event without the values under secret names, at any depth. Errors are reduced to type,
 * message, code, stack and cause, because drivers attach the parameters of a query to them.
 */
export function redactFields(fields: Record<string, unknown>): Record<string, unknown> {
  return redactObject(fields, MAX_DEPTH);
}

/** Does the same as `redactFields` for one value of any kind. */
export function redactValue(value: unknown, depthLeft = MAX_DEPTH): unknown {
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
  return SECRET_PATTERNS.reduce(
    (text, [pattern, replacement]) => text.replace(pattern, replacement),
    withoutSecretMembers,
  );
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
    message: error.message,
    ...('code' in error && { code: redactValue(error.code, depthLeft) }),
    stack: error.stack,
    ...(error.cause !== undefined && { cause: redactValue(error.cause, depthLeft) }),
  };
}

function isSecretKey(key: string): boolean {
  return SECRET_KEY.test(key.toLowerCase().replace(/[^a-z0-9]/g, ''));
}
