/** A revocation as the database has committed it. */
export interface CommittedRevocation {
  readonly sessionId: string;
  /** The id of the transaction that ended the session. */
  readonly xid: bigint;
}

/** The revocations that were committed when a poll began and that no earlier poll has read. */
export interface PolledRevocations {
  readonly revocations: readonly CommittedRevocation[];
  /** Names the history that the transaction ids belong to. */
  readonly epoch: string;
  /** Every transaction with an earlier id had ended. */
  readonly completeBeforeXid: bigint;
}

/**
 * How far a reader has read. The first two members mean the same on every instance; the last two only on the one that
 * issued it, where they are exact.
 */
export interface LogPosition {
  /** Names the history that transaction ids belong to: after a restore or a failover they may be used again. */
  readonly epoch: string;
  /** Every revocation of an earlier transaction has been read. */
  readonly xid: bigint;
  readonly instance: string;
  /** The last entry that was read there. */
  readonly entry: number;
}

interface Entry {
  readonly number: number;
  readonly sessionId: string;
  readonly forgetAtMs: number;
  /** Undefined until a poll has read it: this instance ended the session itself. */
  xid: bigint | undefined;
}

/**
 * The sessions that ended within a window of time, in the order in which this instance learnt of them. A set for
 * checking requests, and a log for readers that follow it.
 */
export class RevocationLog {
  private readonly bySessionId = new Map<string, Entry>();
  private entries: Entry[] = [];
  private lastNumber = 0;
  private epoch = '';
  /** Every revocation of an earlier transaction is here. */
  private completeBeforeXid = 0n;

  /**
   * @param instance distinguishes this log from those of other processes
   * @param windowMs how long an entry is kept
   */
  constructor(
    private readonly instance: string,
    private readonly windowMs: number,
  ) {}

  get size(): number {
    return this.entries.length;
  }

  has(sessionId: string): boolean {
    return this.bySessionId.has(sessionId);
  }

  /** Adds sessions that this instance has ended itself, before a poll reads them. */
  add(sessionIds: Iterable<string>, nowMs: number): void {
    for (const sessionId of sessionIds) {
      this.enter(sessionId, undefined, nowMs);
    }
  }

  /** @param nowMs when the poll began */
  addPolled({ revocations, epoch, completeBeforeXid }: PolledRevocations, nowMs: number): void {
    for (const { sessionId, xid } of revocations) {
      this.enter(sessionId, xid, nowMs);
    }
    this.forgetBefore(nowMs);
    this.epoch = epoch;
    this.completeBeforeXid = completeBeforeXid;
  }

  /** The position of a reader that has read everything in here. */
  get end(): LogPosition {
    return {
      epoch: this.epoch,
      xid: this.completeBeforeXid,
      instance: this.instance,
      entry: this.lastNumber,
    };
  }

  /** Whether the position comes from an instance that had polled later than this one. */
  isBehind(position: LogPosition): boolean {
    return position.epoch === this.epoch && position.xid > this.completeBeforeXid;
  }

  /**
   * Returns the sessions that a reader at this position has not read. May repeat sessions the reader already has; never
   * omits one. Without a position, and for one of another history or ahead of this log, that is the whole window.
   */
  after(position: LogPosition | undefined): readonly string[] {
    return this.unread(position).map(({ sessionId }) => sessionId);
  }

  private unread(position: LogPosition | undefined): readonly Entry[] {
    if (position === undefined || position.epoch !== this.epoch || this.isBehind(position)) {
      return this.entries;
    }
    if (position.instance === this.instance) {
      const firstNumber = this.entries[0]?.number ?? this.lastNumber + 1;
      return this.entries.slice(Math.max(0, position.entry + 1 - firstNumber));
    }
    return this.entries.filter(({ xid }) => xid === undefined || xid >= position.xid);
  }

  private enter(sessionId: string, xid: bigint | undefined, nowMs: number): void {
    const known = this.bySessionId.get(sessionId);
    if (known !== undefined) {
      known.xid ??= xid;
      return;
    }
    this.lastNumber += 1;
    const entry = { number: this.lastNumber, sessionId, forgetAtMs: nowMs + this.windowMs, xid };
    this.bySessionId.set(sessionId, entry);
    this.entries.push(entry);
  }

  /** Entries stand in the order of their times, and their numbers have no gaps. */
  private forgetBefore(nowMs: number): void {
    const firstKept = this.entries.findIndex(({ forgetAtMs }) => forgetAtMs > nowMs);
    const forgotten = firstKept === -1 ? this.entries.length : firstKept;
    if (forgotten > 0) {
      this.entries.slice(0, forgotten).forEach(({ sessionId }) => this.bySessionId.delete(sessionId));
      this.entries = this.entries.slice(forgotten);
    }
  }
}

const CURSOR = /^([\w-]{11})\.(0|[1-9]\d{0,19})\.([\w-]{8})\.(0|[1-9]\d{0,14})$/;

/** Clients treat a cursor as opaque. */
export function formatCursor({ epoch, xid, instance, entry }: LogPosition): string {
  return [epoch, xid, instance, entry].join('.');
}

/** @returns undefined for a text that no instance has issued */
export function parseCursor(text: string): LogPosition | undefined {
  const [, epoch, xid, instance, entry] = CURSOR.exec(text) ?? [];
  return epoch === undefined || xid === undefined || instance === undefined || entry === undefined
    ? undefined
    : { epoch, xid: BigInt(xid), instance, entry: Number(entry) };
}
