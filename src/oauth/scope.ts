import { RolesNotGrantedError } from '../tokens/tokens.errors.js';

/** RFC 6749 section 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;

/**
 * Reads a scope, which is a set: its order and repetitions mean nothing.
 *
 * @returns undefined when none was sent
 * @throws RolesNotGrantedError for bad syntax, which no role has
 */
export function parseScope(scope: string | undefined): readonly string[] | undefined {
  if (scope !== undefined && !SCOPE.test(scope)) {
    throw new RolesNotGrantedError('the scope has bad syntax');
  }
  return scope === undefined ? undefined : [...new Set(scope.split(' '))];
}
