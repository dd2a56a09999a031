import { MalformedScopeError } from './oauth.errors.js';

/** RFC 6749 section 3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;

/**
 * @returns undefined when none was sent
 * @throws MalformedScopeError
 */
export function parseScope(scope: string | undefined): readonly string[] | undefined {
  if (scope !== undefined && !SCOPE.test(scope)) {
    throw new MalformedScopeError();
  }
  return scope?.split(' ');
}
