import type { DatabaseAddress } from '../platform/database/database.types.js';

/** What the supervisor tells a worker. */
export type ToWorker =
  /** The answer to `started`. The address may hold a password: it goes neither by argument nor by environment. */
  | { readonly kind: 'serve'; readonly number: number; readonly address: DatabaseAddress }
  /** A sibling announces. */
  | { readonly kind: 'ended'; readonly round: number; readonly sessionIds: readonly string[] }
  /** Whoever had to hear the worker's announcement has heard it, or is late. */
  | { readonly kind: 'told'; readonly announcement: number }
  | { readonly kind: 'stop' };

/** What a worker tells the supervisor. */
export type FromWorker =
  /** It listens to the supervisor; before that, messages are lost. */
  | { readonly kind: 'started' }
  /** It is to be waited for when a sibling announces. */
  | { readonly kind: 'joined' }
  | { readonly kind: 'serving'; readonly url: string }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'announce'; readonly announcement: number; readonly sessionIds: readonly string[] }
  | { readonly kind: 'heard'; readonly round: number };
