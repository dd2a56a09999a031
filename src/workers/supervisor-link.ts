import { Siblings } from '../platform/common/siblings.js';
import type { DatabaseAddress } from '../platform/database/database.types.js';
import type { FromWorker, ToWorker } from './messages.js';

/** Longer than the supervisor waits for a sibling, so that it is the supervisor who says which one is late. */
const LONGEST_WAIT_MS = 600;

/** The line to the supervisor, as far as it is used here: `process` of a worker. */
export interface ParentProcess {
  readonly connected: boolean;
  on(event: 'message', listener: (message: ToWorker) => void): unknown;
  send?(message: FromWorker, handle: undefined, options: object, callback: (error: Error | null) => void): boolean;
}

export interface Assignment {
  /** Of the worker, from 1 on; its successor gets the same. */
  readonly number: number;
  readonly address: DatabaseAddress;
}

/** A worker's end of the line to the supervisor, and beyond it the siblings. */
export class SupervisorLink extends Siblings {
  /** What this worker is to do; the supervisor sends it when the worker has started. */
  readonly assignment: Promise<Assignment>;
  /** Resolves when the worker is to finish its requests and end. */
  readonly stopped: Promise<void>;
  private assign: (assignment: Assignment) => void = () => undefined;
  private stop: () => void = () => undefined;
  private listener: ((sessionIds: readonly string[]) => void) | undefined;
  private readonly announcements = new Map<number, () => void>();
  private lastAnnouncement = 0;

  constructor(
    private readonly parent: ParentProcess,
    private readonly longestWaitMs = LONGEST_WAIT_MS,
  ) {
    super();
    this.assignment = new Promise((resolve) => {
      this.assign = resolve;
    });
    this.stopped = new Promise((resolve) => {
      this.stop = resolve;
    });
    parent.on('message', (message) => {
      this.receive(message);
    });
    void this.send({ kind: 'started' });
  }

  join(listener: (sessionIds: readonly string[]) => void): void {
    this.listener = listener;
    void this.send({ kind: 'joined' });
  }

  async announce(sessionIds: readonly string[]): Promise<void> {
    if (sessionIds.length === 0) {
      return;
    }
    this.lastAnnouncement += 1;
    const announcement = this.lastAnnouncement;
    await new Promise<void>((resolve) => {
      const conclude = (): void => {
        clearTimeout(deadline);
        this.announcements.delete(announcement);
        resolve();
      };
      const deadline = setTimeout(conclude, this.longestWaitMs);
      this.announcements.set(announcement, conclude);
      void this.send({ kind: 'announce', announcement, sessionIds });
    });
  }

  async reportServing(url: string): Promise<void> {
    await this.send({ kind: 'serving', url });
  }

  /** Resolves when the reason is on its way, so that the process may end. */
  async reportFailure(reason: string): Promise<void> {
    await this.send({ kind: 'failed', reason });
  }

  private receive(message: ToWorker): void {
    switch (message.kind) {
      case 'serve':
        this.assign({ number: message.number, address: message.address });
        break;
      case 'ended':
        this.listener?.(message.sessionIds);
        void this.send({ kind: 'heard', round: message.round });
        break;
      case 'told':
        this.announcements.get(message.announcement)?.();
        break;
      case 'stop':
        this.stop();
        break;
    }
  }

  /** A line that has broken is no error here: a worker whose supervisor has gone is ended by node:cluster. */
  private send(message: FromWorker): Promise<void> {
    return new Promise((resolve) => {
      if (this.parent.send === undefined || !this.parent.connected) {
        resolve();
        return;
      }
      this.parent.send(message, undefined, {}, () => {
        resolve();
      });
    });
  }
}
