import { Injectable } from '@nestjs/common';
import { DomainError, OverloadedError } from '../platform/common/domain.errors.js';
import { DatabaseService } from '../platform/database/database.service.js';
import { FamiliesRepository, type Presentation, type RotationOutcome } from './families.repository.js';

/** One statement decides at most this many, so that its locks are held for milliseconds. */
const MOST_PER_STATEMENT = 64;

/** More than a second's work: a client that would wait longer should retry later. */
const MOST_WAITING = 4_096;

interface PendingRotation {
  readonly presentation: Presentation;
  readonly isStillWanted: () => boolean;
  readonly resolve: (outcome: RotationOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Batches presentations that arrive while a statement is in progress: the next statement decides all of them in one
 * round trip and one commit. A lone presentation is sent at once.
 *
 * Batching changes no outcome. No two presentations of one family share a batch, so each is judged as if it had come
 * alone. A family locked by another transaction is skipped and retried in its own statement, so it never delays the
 * batch.
 */
@Injectable()
export class RotationQueueService {
  private waiting: PendingRotation[] = [];
  private isSending = false;

  constructor(
    private readonly database: DatabaseService,
    private readonly families: FamiliesRepository,
  ) {}

  /** How many presentations wait for the next statement. */
  get waitingCount(): number {
    return this.waiting.length;
  }

  /**
   * @param isStillWanted called right before the statement is sent
   * @param isRetry of a statement that may have been committed: it is never refused for want of room
   * @throws RefreshDroppedError when it was no longer wanted; nothing was done
   * @throws OverloadedError when too many wait; nothing was done
   * @throws the error of a failed statement; each presentation of the batch gets the same one
   */
  rotate(presentation: Presentation, isStillWanted: () => boolean, isRetry = false): Promise<RotationOutcome> {
    if (!isRetry && this.waiting.length >= MOST_WAITING) {
      return Promise.reject(new OverloadedError('too many refreshes are waiting'));
    }
    return new Promise((resolve, reject) => {
      this.waiting.push({ presentation, isStillWanted, resolve, reject });
      if (!this.isSending) {
        void this.sendAll();
      }
    });
  }

  private async sendAll(): Promise<void> {
    this.isSending = true;
    while (this.waiting.length > 0) {
      await this.sendBatch();
    }
    this.isSending = false;
  }

  private async sendBatch(): Promise<void> {
    let batch: readonly PendingRotation[] = [];
    try {
      const outcomes = await this.database.withConnection(async (connection) => {
        batch = this.nextBatch();
        const presentations = batch.map(({ presentation }) => presentation);
        return presentations.length > 0 ? this.families.rotateFreeFamilies(connection, presentations) : NO_OUTCOMES;
      });
      for (const pending of batch) {
        const outcome = outcomes.get(pending.presentation.familyId);
        if (outcome === undefined) {
          this.retryAlone(pending);
        } else {
          pending.resolve(outcome);
        }
      }
    } catch (error) {
      // Without a connection there is no batch yet: all that wait have waited for the connection.
      const failed = batch.length > 0 ? batch : this.waiting.splice(0);
      failed.forEach(({ reject }) => {
        reject(error);
      });
    }
  }

  /** Runs for a family that another transaction holds, or that does not exist. */
  private retryAlone({ presentation, isStillWanted, resolve, reject }: PendingRotation): void {
    this.database
      .withConnection(async (connection) => {
        if (!isStillWanted()) {
          throw new RefreshDroppedError();
        }
        return this.families.rotateFamily(connection, presentation);
      })
      .then(resolve, reject);
  }

  /** The oldest presentations of different families; a second one of a family waits for the next batch. */
  private nextBatch(): readonly PendingRotation[] {
    const batch: PendingRotation[] = [];
    const left: PendingRotation[] = [];
    const familyIds = new Set<string>();
    for (const pending of this.waiting) {
      const { familyId } = pending.presentation;
      if (batch.length === MOST_PER_STATEMENT || familyIds.has(familyId)) {
        left.push(pending);
      } else if (pending.isStillWanted()) {
        familyIds.add(familyId);
        batch.push(pending);
      } else {
        pending.reject(new RefreshDroppedError());
      }
    }
    this.waiting = left;
    return batch;
  }
}

const NO_OUTCOMES: ReadonlyMap<string, RotationOutcome> = new Map();

/** Nothing was done, and no client is expected to wait for the answer. */
class RefreshDroppedError extends DomainError {
  readonly code = 'temporarily_unavailable';

  constructor() {
    super('the client has gone or the refresh has waited too long');
  }
}
