import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

const RETRY_MS = 30;

/**
 * From one refresh of a session to the next, at least. The row remembers the keys of eight rotations, and no statement
 * is late by as much as eight of these.
 */
const PACE_MS = 1_000;

/** Not a token, in its right shape: refused without the database, so whatever has happened to it. */
const RUBBISH = `rt1.${Buffer.alloc(69, 7).toString('base64url')}`;

export class Transport {
  #agent = new Agent({ keepAlive: true, maxSockets: 400 });

  /** @returns undefined when the answer was lost, or did not come in time: the client hangs up then */
  send(instance, method, path, { body, headers = {}, timeoutMs = 20_000 }) {
    return new Promise((resolve) => {
      const payload = body === undefined ? undefined : JSON.stringify(body);
      const outgoing = request(
        {
          host: '127.0.0.1',
          port: instance.port,
          method,
          path,
          agent: this.#agent,
          headers: {
            ...(payload !== undefined && {
              'content-type': 'application/json',
              'content-length': Buffer.byteLength(payload),
            }),
            ...headers,
          },
        },
        (incoming) => {
          let text = '';
          incoming.setEncoding('utf8').on('data', (chunk) => {
            text += chunk;
          });
          incoming.on('end', () => done(read(incoming, text)));
          incoming.on('error', () => done(undefined));
          incoming.on('aborted', () => done(undefined));
        },
      );
      const timer = setTimeout(() => {
        outgoing.destroy();
        done(undefined);
      }, timeoutMs);
      function done(answer) {
        clearTimeout(timer);
        resolve(answer);
      }
      outgoing.on('error', () => done(undefined));
      outgoing.end(payload);
    });
  }

  close() {
    this.#agent.destroy();
  }
}

function read({ statusCode: status, headers }, text) {
  const body = text === '' ? undefined : JSON.parse(text);
  return { status, text, body, code: body?.code ?? headers['x-auth-error'] };
}

/**
 * A user's device that follows the algorithm of docs/api.md, and now and then what else happens in the life of a
 * session: a thief with an old token, a late duplicate of an own attempt, a logout.
 */
export class Client {
  constructor({ account, random, instances, transport, history, isRunning }) {
    Object.assign(this, { account, random, instances, transport, history, isRunning });
  }

  async run() {
    while (this.isRunning()) {
      const session = await this.signIn();
      while (session !== undefined && this.isRunning() && !session.isOver) {
        await this.live(session);
      }
    }
  }

  async call(operation, method, path, options = {}) {
    const instance = options.instance ?? this.random.pick(this.instances);
    const sentAt = performance.now();
    const answer = await this.transport.send(instance, method, path, options);
    this.history.count(operation, answer);
    return { instance, sentAt, answer };
  }

  async signIn() {
    const { answer } = await this.call('login', 'POST', '/auth/login', { body: this.account });
    if (answer?.status !== 200) {
      await pause(RETRY_MS * this.random.between(1, 20));
      return undefined;
    }
    return {
      pair: answer.body,
      used: [],
      successors: new Map(),
      events: [],
      isEnded: false,
      isEndUncertain: false,
      isOver: false,
    };
  }

  async live(session) {
    const { random } = this;
    await pause(PACE_MS + random.between(0, 300));
    await this.refresh(session);
    if (session.isOver) {
      return;
    }
    await this.use(session);
    if (random.happens(0.02)) {
      await this.repeatOld(session);
    }
    if (random.happens(0.01)) {
      await this.sendRubbish();
    }
    if (random.happens(0.01)) {
      await this.endBy(session, random.pick(['thief', 'logout', 'logout-all']));
    }
  }

  /** One refresh, by the algorithm: the same token and the same key until there is an answer. */
  async refresh(session) {
    const presented = session.pair.refresh_token;
    const key = randomUUID();
    while (this.isRunning()) {
      // Impatient clients are those whose first attempt is still on its way when they ask again.
      const timeoutMs = this.random.happens(0.1) ? this.random.between(5, 60) : this.random.between(300, 6_000);
      const answer = await this.present(session, presented, key, timeoutMs);
      if (answer?.status === 200) {
        this.history.granted(session, presented, answer.body.refresh_token);
        session.used.push({ token: presented, key });
        session.used.splice(0, session.used.length - 12);
        session.pair = answer.body;
        return;
      }
      if (answer?.status === 401 || answer?.status === 403) {
        this.history.refused(session, answer);
        session.isOver = true;
        return;
      }
      if (answer !== undefined && answer.status !== 503) {
        this.history.violation('an answer that the algorithm does not know', answer.text, session);
      }
      await pause(RETRY_MS);
    }
  }

  async present(session, token, key, timeoutMs) {
    const { instance, answer } = await this.call('refresh', 'POST', '/auth/refresh', {
      body: { refresh_token: token },
      headers: key === undefined ? {} : { 'idempotency-key': key },
      timeoutMs,
    });
    session.events.push(
      `${Math.round(performance.now())} ${instance.name} ${session.used.length} ${key?.slice(0, 4)} → ${answer?.status ?? 'lost'} ${answer?.code ?? ''}`,
    );
    session.events.splice(0, session.events.length - 30);
    return answer;
  }

  async use(session) {
    const { instance, sentAt, answer } = await this.call('verify', 'GET', '/auth/verify', {
      headers: { authorization: `Bearer ${session.pair.access_token}` },
    });
    if (answer?.status === 200) {
      this.history.believed(session, sentAt, instance);
    } else if (answer?.status === 401 && !session.isEnded && !session.isEndUncertain) {
      this.history.violation('a good access token was refused', answer.text, session);
    }
  }

  /** An own attempt of some rotations ago arrives once more, and may be late again: eight are remembered. */
  async repeatOld(session) {
    const reach = Math.min(3, session.used.length);
    if (reach === 0) {
      return;
    }
    const { token, key } = session.used.at(-this.random.between(1, reach));
    const answer = await this.present(session, token, key, 6_000);
    if (answer?.status === 200) {
      this.history.granted(session, token, answer.body.refresh_token);
    }
  }

  /** Invariant 9: what is no token is refused without a query, so also without a database. */
  async sendRubbish() {
    const { answer } = await this.call('rubbish', 'POST', '/auth/refresh', { body: { refresh_token: RUBBISH } });
    if (answer !== undefined && answer.code !== 'refresh_token_invalid') {
      this.history.violation('invariant 9: rubbish met the database', answer.text);
    }
  }

  async endBy(session, how) {
    if (how === 'thief') {
      await this.steal(session);
    } else {
      await this.logOut(session, how);
    }
    if (session.isEnded) {
      // The end has to hold at once for refreshes, and everywhere when the news have arrived.
      await this.refresh(session);
      for (let index = 0; index < 4 && this.isRunning(); index += 1) {
        await this.use(session);
      }
      session.isOver = true;
      this.watchEnd(session);
    }
  }

  /** Invariant 3: any earlier token without its key ends the session, and the end is committed. */
  async steal(session) {
    const stolen = session.used.at(-this.random.between(1, session.used.length));
    if (stolen === undefined) {
      return;
    }
    session.isEndUncertain = true;
    for (let attempt = 0; attempt < 200 && this.isRunning(); attempt += 1) {
      const answer = await this.present(session, stolen.token, undefined, 10_000);
      if (answer?.code === 'refresh_token_reused') {
        this.markEnded(session, 'reuse', undefined);
        return;
      }
      if (answer?.status === 200) {
        this.history.violation('invariant 3: an old token without its key was exchanged', answer.text, session);
      }
      await pause(RETRY_MS);
    }
  }

  async logOut(session, how) {
    session.isEndUncertain = true;
    for (let attempt = 0; attempt < 200 && this.isRunning(); attempt += 1) {
      const { instance, answer } = await this.call(how, 'POST', `/auth/${how}`, {
        body: how === 'logout' ? { refresh_token: session.pair.refresh_token } : undefined,
        headers: { authorization: `Bearer ${session.pair.access_token}` },
        timeoutMs: 10_000,
      });
      if (answer?.status === 204) {
        this.markEnded(session, how, instance);
        return;
      }
      if (answer !== undefined && answer.status !== 503 && answer.status !== 401) {
        this.history.violation('an undocumented answer', `${how}: ${answer.status} ${answer.text}`, session);
      }
      await pause(RETRY_MS);
    }
    session.isOver = true;
  }

  markEnded(session, how, instance) {
    session.isEnded = true;
    session.endedBy = how;
    session.endedAt = performance.now();
    session.endedAtInstance = instance;
  }

  /** Asks every instance with the token of the ended session for as long as it could still be believed. */
  watchEnd(session) {
    this.watches ??= [];
    const watch = (async () => {
      for (const waitMs of [300, 1_500, 5_000, 3_000]) {
        await pause(waitMs);
        for (const instance of this.instances) {
          const { sentAt, answer } = await this.call('verify', 'GET', '/auth/verify', {
            instance,
            headers: { authorization: `Bearer ${session.pair.access_token}` },
          });
          if (answer?.status === 200) {
            this.history.believed(session, sentAt, instance);
          }
        }
      }
    })();
    this.watches.push(watch);
  }
}
