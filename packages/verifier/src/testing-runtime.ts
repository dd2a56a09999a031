import type { FetchAnswer, Runtime } from './runtime.js';

/** One request, which the test answers when it chooses. */
export interface Question {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly askedAtMs: number;
  readonly signal: AbortSignal;
  answer(status: number, body?: unknown, headers?: Readonly<Record<string, string>>): void;
  fail(): void;
}

interface Pause {
  readonly untilMs: number;
  readonly end: () => void;
}

/** A process whose clock moves only when the test moves it, and whose network is the test. */
export class FakeRuntime implements Runtime {
  readonly questions: Question[] = [];
  /** What `random` returns. */
  luck = 0.5;
  isProduction = false;
  private ms = 0;
  private pauses: Pause[] = [];

  constructor(private readonly startedAt = new Date('2026-01-01T00:00:00Z')) {}

  now(): Date {
    return new Date(this.startedAt.getTime() + this.ms);
  }

  monotonicMs(): number {
    return this.ms;
  }

  random(): number {
    return this.luck;
  }

  pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        this.pauses = this.pauses.filter((each) => each !== pause);
        signal.removeEventListener('abort', end);
        resolve();
      };
      const pause = { untilMs: this.ms + ms, end };
      this.pauses.push(pause);
      signal.addEventListener('abort', end);
      if (signal.aborted) {
        end();
      }
    });
  }

  readonly fetch: Runtime['fetch'] = (url, { headers, signal }) =>
    new Promise<FetchAnswer>((resolve, reject) => {
      signal.addEventListener('abort', () => {
        reject(new Error('aborted'));
      });
      this.questions.push({
        url,
        headers,
        askedAtMs: this.ms,
        signal,
        answer: (status, body = '', answered = {}) => {
          const text = typeof body === 'string' ? body : JSON.stringify(body);
          resolve({ status, headers: new Headers(answered), text: () => Promise.resolve(text) });
        },
        fail: () => {
          reject(new Error('connection refused'));
        },
      });
    });

  /** Moves the clock, one pause at a time. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.ms + ms;
    await this.settle();
    for (let next = this.nextPause(untilMs); next !== undefined; next = this.nextPause(untilMs)) {
      this.ms = next.untilMs;
      next.end();
      await this.settle();
    }
    this.ms = untilMs;
  }

  /** Moves the clock until the next question is asked. */
  async untilAsked(): Promise<Question> {
    const { length } = this.questions;
    await this.settle();
    while (this.questions.length === length) {
      const next = this.nextPause(Number.POSITIVE_INFINITY);
      if (next !== undefined) {
        this.ms = next.untilMs;
        next.end();
      }
      await this.settle();
    }
    return this.latest;
  }

  /** Runs everything that does not wait for the clock. */
  async settle(): Promise<void> {
    for (let turns = 0; turns < 5; turns += 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** The last question. */
  get latest(): Question {
    const question = this.questions.at(-1);
    if (question === undefined) {
      throw new Error('no question has been asked');
    }
    return question;
  }

  private nextPause(untilMs: number): Pause | undefined {
    return this.pauses.filter((each) => each.untilMs <= untilMs).sort((a, b) => a.untilMs - b.untilMs)[0];
  }
}
