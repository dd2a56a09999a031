// The public API of the package. Everything else may change without notice.
export { createClient, RatchetClient } from './client.js';
export {
  AccessTokenInCookieError,
  DisposedError,
  RatchetClientError,
  RefusedError,
  SignedOutError,
  UnavailableError,
} from './errors.js';
export type { Account, ClientEvents, ClientOptions, ClientState, Credentials, PendingTicket } from './options.js';
export { memoryStore, type RecordStore } from './record.js';
