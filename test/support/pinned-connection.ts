import { Agent, request } from 'node:http';
import { text } from 'node:stream/consumers';

export interface PinnedAnswer {
  readonly status: number;
  /** Of a problem. */
  readonly code: string | undefined;
  readonly requestId: string;
}

/** One connection, kept open: whichever worker process took it answers all that is asked over it. */
export class PinnedConnection {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(private readonly url: string) {}

  get(path: string, accessToken?: string): Promise<PinnedAnswer> {
    return this.ask('GET', path, accessToken);
  }

  post(path: string, accessToken: string | undefined, body: object): Promise<PinnedAnswer> {
    return this.ask('POST', path, accessToken, body);
  }

  close(): void {
    this.agent.destroy();
  }

  private async ask(
    method: string,
    path: string,
    accessToken: string | undefined,
    body?: object,
  ): Promise<PinnedAnswer> {
    const headers = {
      ...(accessToken === undefined ? {} : { authorization: `Bearer ${accessToken}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    return new Promise((resolve, reject) => {
      const sent = request(new URL(path, this.url), { agent: this.agent, method, headers }, (response) => {
        text(response).then((answer) => {
          const { code } = (answer === '' ? {} : JSON.parse(answer)) as { code?: string };
          resolve({ status: response.statusCode ?? 0, code, requestId: String(response.headers['x-request-id']) });
        }, reject);
      });
      sent.on('error', reject);
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}
