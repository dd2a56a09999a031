// The public API of the package, beside the entries for test runners. Everything else may change without notice.
export { RatchetTestError } from './errors.js';
export { FakeIssuer, fakeIssuer, type FakeIssuerOptions } from './fake-issuer.js';
export type { Token, TokenClaims, TokenOptions, UserReference } from './token-options.js';
