// The public API of the package, beside the entries for test runners. Everything else may change without notice.
export { type ConnectOptions, connectRatchet, type NamespaceOptions, Ratchet } from './connect-ratchet.js';
export type { Duration } from './duration.js';
export { RatchetTestError } from './errors.js';
export { FakeIssuer, fakeIssuer, type FakeIssuerOptions } from './fake-issuer.js';
export {
  type Fault,
  type FaultOptions,
  Namespace,
  type NamespaceClock,
  type NamespaceKeys,
  type ReceivedRequest,
  type SessionOptions,
  type TestUser,
  type UserTotp,
  type TokenPair,
  type UserOptions,
} from './namespace.js';
export type { MailFilter, NamespaceOutbox, TestMail } from './outbox.js';
export { type StartedRatchet, startRatchet, type StartOptions } from './start-ratchet.js';
export type { Token, TokenClaims, TokenOptions, UserReference } from './token-options.js';
