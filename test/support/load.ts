import { setTimeout as pause } from 'node:timers/promises';
import { messageOf } from '../../src/platform/common/message-of.js';
import { eventually } from './eventually.js';
import { type Account, newIdempotencyKey, type TestClient, type TokenPair } from './test-client.js';

/** Between two rounds of a user: as many as a test needs in a second, and no core for itself. */
const PAUSE_MS = 20;

/**
 * Users who refresh and use their tokens all the time, each request on any instance; whatever is not answered as it
 * should be is kept for the test to judge.
 */
export class Load {
  readonly failures: string[] = [];
  /** The keys that have signed, by the headers of the access tokens. */
  readonly kids = new Set<string>();
  private readonly rounds: number[] = [];
  private readonly loops: Promise<void>[] = [];
  private isStopping = false;

  constructor(private readonly clients: readonly TestClient[]) {}

  /** One user more. */
  async add(): Promise<void> {
    const { pair, ...account } = await this.anyClient().signUpAndIn();
    const index = this.rounds.push(0) - 1;
    const loop = this.loop(index, account, pair).catch((error: unknown) => {
      this.failures.push(messageOf(error));
    });
    this.loops.push(loop);
  }

  /** Until every user has refreshed so many times from now on, and used the new token on every instance. */
  async goesOn(roundCount: number): Promise<void> {
    const aims = this.rounds.map((done) => done + roundCount);
    await eventually(() => this.rounds.every((done, index) => done >= (aims[index] ?? 0)), { withinMs: 20_000 });
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await Promise.all(this.loops);
  }

  private async loop(index: number, account: Account, first: TokenPair): Promise<void> {
    let pair = first;
    while (!this.isStopping) {
      const refreshed = await this.anyClient().refresh(pair.refresh_token, newIdempotencyKey());
      if (refreshed.status !== 200) {
        this.failures.push(`refresh: ${refreshed.status} ${refreshed.text}`);
        pair = await this.anyClient().signIn(account);
        continue;
      }
      pair = refreshed.body as TokenPair;
      this.kids.add(kidIn(pair.access_token));
      const answers = await Promise.all(this.clients.map((client) => client.me(pair.access_token)));
      for (const answer of answers.filter(({ status }) => status !== 200)) {
        this.failures.push(`use: ${answer.status} ${answer.text}`);
      }
      this.rounds[index] = (this.rounds[index] ?? 0) + 1;
      await pause(PAUSE_MS);
    }
  }

  private anyClient(): TestClient {
    const client = this.clients[Math.floor(Math.random() * this.clients.length)];
    if (client === undefined) {
      throw new Error('there is no instance');
    }
    return client;
  }
}

/** Which key says that it has signed an access token. */
export function kidIn(accessToken: string): string {
  const [header = ''] = accessToken.split('.');
  return (JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string }).kid;
}
