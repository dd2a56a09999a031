import type { ToWorker } from './messages.js';

/** The supervisor's end of the line to one worker. */
export interface WorkerLine {
  send(message: ToWorker): void;
}

interface Round {
  readonly from: WorkerLine;
  readonly announcement: number;
  readonly awaited: Set<WorkerLine>;
  readonly deadline: NodeJS.Timeout;
}

/** What a sibling gets for an answer that takes some hundred microseconds. */
const LONGEST_WAIT_MS = 500;

/**
 * Passes what one worker announces on to the others, and tells it when they have heard. A worker that is late once is not
 * waited for until it has answered: one that hangs costs one acknowledgement half a second, not each.
 */
export class AnnouncementRelay {
  private readonly connected = new Set<WorkerLine>();
  private readonly joined = new Set<WorkerLine>();
  private readonly late = new Set<WorkerLine>();
  private readonly rounds = new Map<number, Round>();
  private lastRound = 0;

  /** @param onLate is told of each worker that begins to be late */
  constructor(
    private readonly onLate: (line: WorkerLine) => void,
    private readonly longestWaitMs = LONGEST_WAIT_MS,
  ) {}

  /** A worker that has not joined is told, but not waited for: it loads what has ended before it serves. */
  connect(line: WorkerLine): void {
    this.connected.add(line);
  }

  join(line: WorkerLine): void {
    this.joined.add(line);
  }

  /** The worker has ended; nobody waits for it any more. */
  disconnect(line: WorkerLine): void {
    this.connected.delete(line);
    this.joined.delete(line);
    this.late.delete(line);
    for (const round of this.rounds.keys()) {
      this.settle(round, line);
    }
  }

  announce(from: WorkerLine, announcement: number, sessionIds: readonly string[]): void {
    this.lastRound += 1;
    const round = this.lastRound;
    const others = [...this.connected].filter((line) => line !== from);
    others.forEach((line) => {
      line.send({ kind: 'ended', round, sessionIds });
    });
    const awaited = new Set(others.filter((line) => this.joined.has(line) && !this.late.has(line)));
    const deadline = setTimeout(() => {
      this.giveUpOn(round);
    }, this.longestWaitMs);
    this.rounds.set(round, { from, announcement, awaited, deadline });
    this.concludeIfHeard(round);
  }

  heard(line: WorkerLine, round: number): void {
    this.late.delete(line);
    this.settle(round, line);
  }

  private settle(round: number, line: WorkerLine): void {
    this.rounds.get(round)?.awaited.delete(line);
    this.concludeIfHeard(round);
  }

  private giveUpOn(number: number): void {
    const round = this.rounds.get(number);
    for (const line of round?.awaited ?? []) {
      if (!this.late.has(line)) {
        this.late.add(line);
        this.onLate(line);
      }
    }
    round?.awaited.clear();
    this.concludeIfHeard(number);
  }

  private concludeIfHeard(number: number): void {
    const round = this.rounds.get(number);
    if (round?.awaited.size === 0) {
      clearTimeout(round.deadline);
      this.rounds.delete(number);
      round.from.send({ kind: 'told', announcement: round.announcement });
    }
  }
}
