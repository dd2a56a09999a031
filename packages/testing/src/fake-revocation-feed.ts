import { randomUUID } from 'node:crypto';
import { EventEmitter } from 'node:events';

/** Longer waits count as this, as in the service. */
const LONGEST_WAIT_SECONDS = 5;

/** A reader that has not asked for so long has gone. It is also the longest time for which an end waits for readers. */
const PATIENCE_MS = 1_000;

/** What `GET /auth/revocations` answers. */
export interface RevocationPage {
  readonly revoked: readonly string[];
  readonly cursor: string;
  readonly age_seconds: number;
  readonly waited_seconds: number;
}

interface Reader {
  /** How many ends it has proved to know, by the cursor that it sent. */
  heard: number;
  isWaiting: boolean;
  seenAtMs: number;
}

/**
 * The feed of ended sessions, in memory. Its cursors name their reader, so that an end can wait until all of them know.
 */
export class FakeRevocationFeed {
  private readonly ended: string[] = [];
  private readonly readers = new Map<string, Reader>();
  /** `end`: a session has ended. `ask`: a reader has asked, or has gone. */
  private readonly events = new EventEmitter().setMaxListeners(0);

  /** Resolves when every reader knows, and after a second at the latest. */
  async end(sessionId: string): Promise<void> {
    this.ended.push(sessionId);
    this.events.emit('end');
    const target = this.ended.length;
    const giveUpAtMs = performance.now() + PATIENCE_MS;
    while (this.isNewsFor(target) && performance.now() < giveUpAtMs) {
      await this.next('ask', giveUpAtMs - performance.now());
    }
  }

  /**
   * Answers as docs/api.md says, in one page.
   *
   * @param gone aborted when the reader has closed its connection
   * @returns undefined for a cursor or a wait that the service would not accept
   */
  async read(query: URLSearchParams, gone: AbortSignal): Promise<RevocationPage | undefined> {
    const after = query.get('after');
    const wait = query.get('wait') ?? String(LONGEST_WAIT_SECONDS);
    const [id, position] = after === null ? [randomUUID(), 0] : this.parse(after);
    if (!/^\d{1,2}$/.test(wait) || position === undefined || (after !== null && !this.readers.has(id))) {
      return undefined;
    }
    const askedAtMs = performance.now();
    const reader: Reader = { heard: position, isWaiting: true, seenAtMs: askedAtMs };
    this.readers.set(id, reader);
    this.events.emit('ask');
    if (after !== null && position === this.ended.length) {
      await this.next('end', Math.min(Number(wait), LONGEST_WAIT_SECONDS) * 1000, gone);
    }
    const answeredAtMs = performance.now();
    this.readers.set(id, { ...reader, isWaiting: false, seenAtMs: answeredAtMs });
    if (gone.aborted) {
      this.readers.delete(id);
      this.events.emit('ask');
    }
    return {
      revoked: this.ended.slice(position),
      cursor: `${id}.${this.ended.length}`,
      age_seconds: 0,
      waited_seconds: Math.floor(answeredAtMs - askedAtMs) / 1000,
    };
  }

  private parse(cursor: string): readonly [id: string, position: number | undefined] {
    const [, id = '', digits = ''] = /^([\w-]+)\.(\d{1,9})$/.exec(cursor) ?? [];
    const position = digits === '' || Number(digits) > this.ended.length ? undefined : Number(digits);
    return [id, position];
  }

  private isNewsFor(target: number): boolean {
    const sinceMs = performance.now() - PATIENCE_MS;
    return [...this.readers.values()].some(
      ({ heard, isWaiting, seenAtMs }) => heard < target && (isWaiting || seenAtMs > sinceMs),
    );
  }

  /** Resolves at the next event, after `ms`, or when the signal is aborted. */
  private async next(event: 'end' | 'ask', ms: number, signal?: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.events.off(event, done);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      if (event === 'end') {
        // A reader does not keep the process alive.
        timer.unref();
      }
      this.events.on(event, done);
      signal?.addEventListener('abort', done);
    });
  }
}
