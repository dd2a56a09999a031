import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

type KeysBehaviour = 'served' | 'away';

type FeedBehaviour =
  | 'served'
  /** Answers are not held back. */
  | 'prompt'
  /** Connections are cut. */
  | 'away'
  /** Answers are the service's own and not held back, but say that their news is a minute old. */
  | 'old'
  /** Answers are JSON that says neither an age nor a wait. */
  | 'odd';

export interface Behaviour {
  readonly keys?: KeysBehaviour;
  readonly feed?: FeedBehaviour;
}

/**
 * Stands between an instance and a verifier: its keys and its revocation feed can each be made to misbehave.
 */
export class FlakyFront {
  /** Answers to questions after ended sessions that were sent since the last change of behaviour. */
  feedAnswers = 0;
  private keysBehaviour: KeysBehaviour = 'served';
  private feedBehaviour: FeedBehaviour = 'served';
  private server: Server | undefined;

  /** @param target base URL of the instance, read for each request */
  constructor(private readonly target: () => string) {}

  get url(): string {
    return `http://127.0.0.1:${(this.server?.address() as AddressInfo).port}`;
  }

  async listen(): Promise<void> {
    this.server = createServer((incoming, outgoing) => {
      this.forward(incoming, outgoing).catch(() => outgoing.destroy());
    }).listen(0, '127.0.0.1');
    await once(this.server, 'listening');
  }

  async close(): Promise<void> {
    this.server?.closeAllConnections();
    this.server?.close();
    await (this.server && once(this.server, 'close'));
  }

  /** Answers that are still held back are cut, so that the verifier meets the new behaviour at once. */
  behave({ keys = 'served', feed = 'served' }: Behaviour): void {
    this.keysBehaviour = keys;
    this.feedBehaviour = feed;
    this.feedAnswers = 0;
    this.server?.closeAllConnections();
  }

  private async forward({ url = '/' }: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const isFeed = url.startsWith('/auth/revocations');
    const { keysBehaviour, feedBehaviour } = this;
    if ((isFeed ? feedBehaviour : keysBehaviour) === 'away') {
      outgoing.destroy();
      return;
    }
    if (isFeed && feedBehaviour === 'odd') {
      this.feedAnswers += 1;
      outgoing.writeHead(200, { 'content-type': 'application/json' }).end('{"revoked":[],"cursor":"x"}');
      return;
    }
    const abandoned = new AbortController();
    outgoing.on('close', () => {
      abandoned.abort();
    });
    const asked = new URL(url, this.target());
    if (isFeed && feedBehaviour !== 'served') {
      asked.searchParams.set('wait', '0');
    }
    const answer = await fetch(asked, { signal: abandoned.signal });
    let text = await answer.text();
    if (isFeed && feedBehaviour === 'old') {
      text = text.replace(/"age_seconds":[\d.]+/, '"age_seconds":60');
    }
    this.feedAnswers += Number(isFeed && feedBehaviour === this.feedBehaviour);
    outgoing.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' }).end(text);
  }
}
