// The public API of the package, beside the adapters. Everything else may change without notice.
export type { AccessToken, Algorithm } from './access-token.format.js';
export { type Acr, type AuthenticationDemand, requireAuthentication } from './authentication-demand.js';
export { type FetchHeaders, type FetchRequest, type NodeRequest, readBearerToken } from './bearer-token.js';
export {
  AccessTokenExpiredError,
  AccessTokenInvalidError,
  AccessTokenMissingError,
  AccessTokenRevokedError,
  CrossSiteRequestError,
  InsufficientRoleError,
  InsufficientUserAuthenticationError,
  IssuerMismatchError,
  TemporarilyUnavailableError,
  VerificationError,
  type VerificationErrorCode,
} from './errors.js';
export type { VerifierEvent } from './events.js';
export type { VerifierOptions } from './options.js';
export { type Problem, toProblem } from './problem.js';
export type { Fetch, FetchAnswer, Runtime } from './runtime.js';
export { createVerifier, requireAnyRole, Verifier, type VerifierState } from './verifier.js';
