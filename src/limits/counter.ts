import { createHash } from 'node:crypto';
import { TemporarilyUnavailableError } from '../platform/common/domain.errors.js';
import { messageOf } from '../platform/common/message-of.js';

/** What is taken from a counter. */
export interface Take {
  /** Names the counter in the store. */
  readonly name: string;
  /** Hashed before it is stored, for keys are e-mails and addresses. */
  readonly key: string;
  readonly points: number;
  /** How many points a key has within the window. */
  readonly limit: number;
  /** Counted from the first time that points of a key are taken. */
  readonly windowSeconds: number;
}

/** `points`: those that have been taken of the key; of an exceeded counter, before this time. */
export interface Taken {
  readonly isTaken: boolean;
  readonly points: number;
  /** Until the window ends. */
  readonly remainingSeconds: number;
}

export type CounterChange = Pick<Take, 'name' | 'key'> &
  (
    | { readonly kind: 'give_back'; readonly points: number }
    /** Gives everything back. */
    | { readonly kind: 'reset' }
    /** Begins a window, with points that have been taken already. */
    | { readonly kind: 'set'; readonly points: number; readonly windowSeconds: number }
  );

/** A take as a store sees it. */
export interface StoredTake extends Omit<Take, 'name'> {
  readonly windowMs: number;
}

export interface StoredChanges {
  readonly givenBack: readonly { readonly key: string; readonly points: number }[];
  readonly set: readonly { readonly key: string; readonly points: number; readonly windowMs: number }[];
}

/** More than any counter has. */
const ALL_POINTS = 2 ** 31 - 1;

/**
 * Counts by key, shared by all instances and atomically: of any number of concurrent takes from a key, no more succeed
 * within a window than its limit allows. What is refused is not counted.
 *
 * @throws TemporarilyUnavailableError from each method when the store cannot be reached
 */
export abstract class Counters {
  /** Takes from each counter by itself, in one round trip. @returns in the same order */
  async take(takes: readonly Take[]): Promise<readonly Taken[]> {
    const stored = takes.map(({ windowSeconds, ...take }) => ({
      ...take,
      key: storedKey(take),
      windowSeconds,
      windowMs: windowSeconds * 1_000,
    }));
    return this.reach(() => this.takeStored(stored));
  }

  async change(changes: readonly CounterChange[]): Promise<void> {
    const givenBack = changes.flatMap((change) =>
      change.kind === 'set'
        ? []
        : [{ key: storedKey(change), points: change.kind === 'reset' ? ALL_POINTS : change.points }],
    );
    const set = changes.flatMap((change) =>
      change.kind === 'set'
        ? [{ key: storedKey(change), points: change.points, windowMs: change.windowSeconds * 1_000 }]
        : [],
    );
    await this.reach(() => this.changeStored({ givenBack, set }));
  }

  /** Whether a window of the key has not ended. */
  async has(counter: Pick<Take, 'name' | 'key'>): Promise<boolean> {
    return this.reach(() => this.hasStored(storedKey(counter)));
  }

  protected abstract takeStored(takes: readonly StoredTake[]): Promise<readonly Taken[]>;
  protected abstract changeStored(changes: StoredChanges): Promise<void>;
  protected abstract hasStored(key: string): Promise<boolean>;
  /** Tells a failure of the store that may clear by itself from a defect. */
  protected abstract isUnavailable(error: unknown): boolean;

  /** It does not matter whether a lost command was counted: nothing that the client asked for was done. */
  private async reach<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.isUnavailable(error)
        ? new TemporarilyUnavailableError(`the counters cannot be reached: ${messageOf(error)}`, { cause: error })
        : error;
    }
  }
}

function storedKey({ name, key }: Pick<Take, 'name' | 'key'>): string {
  return `${name}:${createHash('sha256').update(key).digest('base64url')}`;
}
