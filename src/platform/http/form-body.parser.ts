import { isUtf8 } from 'node:buffer';
import { MalformedRequestError, ValidationFailedError } from '../common/domain.errors.js';
import type { Form } from './form-route.js';

/** Several times as many as any request of OAuth has. */
const MAX_PARAMETERS = 32;

/**
 * Parses `application/x-www-form-urlencoded` as RFC 6749 wants it: UTF-8 (appendix B), no parameter twice, and one
 * without a value counts as not sent (section 3.2). Stricter than browsers, which read something into every byte: what
 * two readers could understand differently is refused.
 *
 * @throws MalformedRequestError for what is not such a form
 * @throws ValidationFailedError for a parameter that comes twice, and for too many of them
 */
export function parseForm(body: Buffer): Form {
  if (!isUtf8(body)) {
    throw new MalformedRequestError('the body is not UTF-8');
  }
  const fields = body.toString().split('&', MAX_PARAMETERS + 1);
  if (fields.length > MAX_PARAMETERS) {
    throw new ValidationFailedError([
      { field: 'body', message: `must not have more than ${MAX_PARAMETERS} parameters` },
    ]);
  }
  const names = new Set<string>();
  const form = new Map<string, string>();
  for (const field of fields.filter((each) => each !== '')) {
    const [name = '', ...rest] = field.split('=').map(decode);
    if (names.has(name)) {
      throw new ValidationFailedError([{ field: 'body', message: 'must not have a parameter twice' }]);
    }
    names.add(name);
    const value = rest.join('=');
    if (value !== '') {
      form.set(name, value);
    }
  }
  return form;
}

/** @throws MalformedRequestError for a `%` that encodes nothing, and for bytes that are not UTF-8 once decoded */
function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new MalformedRequestError('the form cannot be decoded');
  }
}
