export type CookieValue =
  | { readonly kind: 'present'; readonly value: string }
  | { readonly kind: 'absent' }
  /** Another site may have planted one of them, and nothing says which. */
  | { readonly kind: 'repeated' };

const ABSENT: CookieValue = { kind: 'absent' };

/**
 * Reads one cookie strictly. The name is compared exactly: browsers keep the rules of `__Host-` for every spelling of
 * the prefix, and a cookie of another case is another cookie (RFC 6265bis). The value is taken as it is.
 *
 * @param header all `Cookie` lines of the request, joined by `; ` as Node joins them
 */
export function readCookie(header: string | undefined, name: string): CookieValue {
  let found = ABSENT;
  for (const pair of header?.split(';') ?? []) {
    const equals = pair.indexOf('=');
    if (equals !== -1 && pair.slice(0, equals).trim() === name) {
      if (found.kind !== 'absent') {
        return { kind: 'repeated' };
      }
      found = { kind: 'present', value: pair.slice(equals + 1).trim() };
    }
  }
  return found;
}
