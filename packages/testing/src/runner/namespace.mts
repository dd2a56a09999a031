import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import {
  AccessTokenIssuer,
  AppModule,
  Clock,
  type Config,
  createApp,
  DatabaseClock,
  DatabaseService,
  FactorSecretsVault,
  KeyLifeCycleService,
  KeyRotationService,
  KeysService,
  type Logger,
  MailTransport,
  MailWorkerService,
  outcomeOf,
  PasswordHasherService,
  publish,
  type PublishedDocument,
  RecoveryCodesService,
  RefusedTokenLimiterService,
  RevokedSessionsService,
  ServerKeys,
  sessionOf,
  SessionsService,
  SignInsService,
  TokensService,
  TombstoneCleanerService,
  TotpFactorsService,
  UsersService,
} from '@ratchet/server/internal';
import type { ClockAnswer, KeyAnswer, RequestRecord } from '../contract.js';
import { AuthenticatorApps } from './authenticator-apps.mjs';
import { type Fault, Faults } from './faults.mjs';
import { answerInstead } from './fault-answer.mjs';
import { Gate } from './gate.mjs';
import { Journal } from './journal.mjs';
import { Outbox } from './outbox.mjs';
import { TestProblem } from './problems.mjs';
import { Sessions } from './sessions.mjs';
import { TestClock } from './test-clock.mjs';
import { Users } from './users.mjs';

type App = Awaited<ReturnType<typeof createApp>>;

export interface ClockChange {
  readonly advance_seconds?: number;
  readonly at?: string;
  readonly frozen?: boolean;
}

/** How far the clock may be from the real one: keys rotate on the way, in steps. */
export const FARTHEST_SECONDS = 10 * 366 * 86_400;

/** They write nothing, so a reset does not wait for them: the long poll of a follower would delay it by seconds. */
const READING_METHODS = ['GET', 'HEAD', 'OPTIONS'];

/** What the application tells of a request while it answers it. */
interface Notes {
  hasBegun: boolean;
  hasAnswered: boolean;
  onAnswered: () => void;
  code: string | undefined;
  userId: string | undefined;
  sessionId: string | undefined;
}

/** One application on a database of its own, with everything around it that a test can steer. */
export class Namespace {
  readonly faults = new Faults();
  readonly journal = new Journal();
  readonly outbox = new Outbox();
  readonly apps: AuthenticatorApps;
  readonly users: Users;
  readonly sessions: Sessions;
  readonly gate = new Gate();
  private readonly clock: TestClock;
  private readonly database: DatabaseService;
  private readonly notes = new WeakMap<IncomingMessage, Notes>();
  private clockChange: Promise<unknown> = Promise.resolve();
  private tables: readonly string[] = [];

  private constructor(
    readonly name: string,
    readonly config: Config,
    private readonly app: App,
  ) {
    const database = app.get(DatabaseService);
    this.database = database;
    this.clock = new TestClock(database, app.get(RevokedSessionsService), app.get(Clock), app.get(DatabaseClock));
    this.apps = new AuthenticatorApps(
      database,
      config.factors && {
        users: app.get(UsersService),
        totpFactors: app.get(TotpFactorsService, { strict: false }),
        recoveryCodes: app.get(RecoveryCodesService, { strict: false }),
        vault: app.get(FactorSecretsVault, { strict: false }),
      },
    );
    this.users = new Users(database, app.get(PasswordHasherService), this.apps);
    this.sessions = new Sessions(
      {
        users: app.get(UsersService),
        tokens: app.get(TokensService),
        sessions: app.get(SessionsService),
        signIns: app.get(SignInsService),
        issuer: app.get(AccessTokenIssuer),
        keys: app.get(KeysService),
        serverKeys: app.get(ServerKeys),
        database,
        config,
      },
      this.users,
    );
    // In place of files or an SMTP server: no mail of a test leaves this process.
    app.get(MailTransport, { strict: false }).deliver = (mail) => {
      this.outbox.add(mail, this.clock.now());
      return Promise.resolve();
    };
    markPublishedKeys(app.get(KeysService));
    this.takeNotes();
  }

  /** @param databaseUrl a database of `Databases` */
  static async open(name: string, config: Config, databaseUrl: string, logger: Logger): Promise<Namespace> {
    const address = { url: databaseUrl, directUrl: databaseUrl };
    const app = await createApp(AppModule.forRoot(config, address), config, logger);
    try {
      const namespace = new Namespace(name, config, app);
      await app.init();
      await app.getHttpAdapter().getInstance().ready();
      const tables = await namespace.database.query<{ name: string }>(
        `select relname as name from pg_class
         where relkind = 'r' and relnamespace = 'public'::regnamespace
           and relname not in ('signing_keys', 'schema_migrations', 'instances')`,
      );
      namespace.tables = tables.map((table) => table.name);
      return namespace;
    } catch (error) {
      await app.close().catch(() => undefined);
      throw error;
    }
  }

  close(): Promise<void> {
    return this.app.close();
  }

  /**
   * Answers a request as the service does, or as a fault wants it.
   *
   * @param path of the request as its client wrote it, without the query
   */
  async serve(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const { method = '' } = request;
    const receivedAt = this.clock.now().toISOString();
    const leave = READING_METHODS.includes(method) ? undefined : await this.gate.enter(() => request.socket.destroy());
    const fault = this.faults.hit(method, path);
    const answer = fault?.cut === 'after' ? swallowedResponse(request) : response;
    const notes: Notes = {
      hasBegun: false,
      hasAnswered: false,
      onAnswered: () => undefined,
      code: undefined,
      userId: undefined,
      sessionId: undefined,
    };
    this.notes.set(request, notes);
    answer.once('close', () => {
      this.journal.add(entryOf(receivedAt, method, path, answer, notes, fault));
      if (answer !== response) {
        request.socket.destroy();
      }
      // A cut ends the connection, and the application works on.
      if (!notes.hasBegun || notes.hasAnswered) {
        leave?.();
      } else {
        notes.onAnswered = () => leave?.();
      }
    });
    if (fault !== undefined && !(await this.letPass(fault, request, response, path, notes))) {
      if (answer !== response) {
        answer.destroy();
      }
      return;
    }
    this.app.getHttpServer().emit('request', request, answer);
  }

  /** @throws TestProblem when requests in flight do not end */
  async reset(): Promise<void> {
    await this.gate.alone(async () => {
      // What a request has caused is not to come after the reset.
      await this.app.get(MailWorkerService, { strict: false }).sendDue();
      const endedIds = await this.database.transaction(async (transaction) => {
        const families = await transaction.query<{ id: string }>('delete from refresh_token_families returning id');
        for (const table of this.tables) {
          await transaction.query(`delete from ${table}`);
        }
        return families.map(({ id }) => id);
      });
      this.app.get(TokensService).announceEnded([...endedIds, ...this.sessions.named]);
      this.sessions.named.clear();
      forgetRefusedTokens(this.app.get(RefusedTokenLimiterService), this.config);
      this.faults.clear();
      if (!this.clock.isReal) {
        await this.changeClock({});
      }
      this.journal.clear();
      this.outbox.clear();
    });
  }

  readClock(): ClockAnswer {
    return this.clock.read();
  }

  /**
   * Sets the clock and runs the jobs that are due by then. Without members it is the real one again.
   *
   * @throws TestProblem
   */
  changeClock(change: ClockChange): Promise<ClockAnswer> {
    const changed = this.clockChange.then(() => this.applyClock(change));
    this.clockChange = changed.catch(() => undefined);
    return changed;
  }

  /**
   * Lets another key sign. With force at once, without waiting until verifiers have fetched it; the oldest retired key
   * makes room if need be. Otherwise by the rules: the next key is published, or signs if it has been for long enough.
   *
   * @throws TestProblem
   */
  async rotateKeys(isForced: boolean): Promise<KeyAnswer> {
    const lifeCycle = this.app.get(KeyLifeCycleService);
    if (!isForced) {
      const rotation = await lifeCycle.rotate();
      await this.app.get(KeysService).reload();
      switch (rotation.kind) {
        case 'published':
          return { kid: rotation.key.kid, status: 'next' };
        case 'activated':
          return { kid: rotation.key.kid, status: 'active' };
        case 'too_early':
          throw new TestProblem(
            409,
            'key_too_early',
            `The next key signs from ${rotation.signsFrom.toISOString()} on; advance the clock, or send {"force": true}.`,
          );
        case 'full':
          throw new TestProblem(
            409,
            'too_many_keys',
            `There is room for another key from ${rotation.roomFrom.toISOString()} on; advance the clock, or send {"force": true}.`,
          );
      }
    }
    let request = await lifeCycle.rotateEarly();
    if (request.kind === 'full') {
      const [oldest] = (await lifeCycle.overview()).filter(({ status }) => status === 'retiring');
      await lifeCycle.retire(oldest?.kid ?? '', true);
      request = await lifeCycle.rotateEarly();
    }
    if (!('key' in request)) {
      throw new Error(`the rotation was ${request.kind}`);
    }
    // Instances would wait until the others know of it; here is one, and it switches now.
    await this.database.query(
      `update signing_keys set activated_at = clock_timestamp() - interval '1 s' where kid = $1`,
      [request.key.kid],
    );
    await this.app.get(KeyRotationService).tick();
    await this.app.get(KeysService).reload();
    return { kid: request.key.kid, status: 'active' };
  }

  private async applyClock({ advance_seconds: advance, at, frozen }: ClockChange): Promise<ClockAnswer> {
    const nowMs = this.clock.now().getTime();
    const isReset = advance === undefined && at === undefined && frozen === undefined;
    const wantedMs = isReset ? Date.now() : at === undefined ? nowMs + (advance ?? 0) * 1_000 : Date.parse(at);
    if (Math.abs(wantedMs - Date.now()) > FARTHEST_SECONDS * 1_000) {
      throw new TestProblem(
        400,
        'validation_failed',
        'The clock stays within ten years of the real one; reset it before.',
      );
    }
    const isFrozen = frozen ?? (!isReset && this.clock.read().frozen);
    if (wantedMs > nowMs) {
      await this.passKeyTransitions(wantedMs);
    }
    if (isReset) {
      await this.clock.reset();
    } else {
      await this.clock.set(new Date(wantedMs), isFrozen);
    }
    if (wantedMs < nowMs) {
      await this.bringKeysBack();
    }
    await this.runDueJobs();
    return this.clock.read();
  }

  /** A key is published before it signs, so the clock stops at each transition on the way. */
  private async passKeyTransitions(untilMs: number): Promise<void> {
    const lifeCycle = this.app.get(KeyLifeCycleService);
    for (let last = ''; ;) {
      const [next] = await lifeCycle.plan(1);
      const step = `${next?.kind ?? ''} ${next?.kid ?? ''} ${next?.at.toISOString() ?? ''}`;
      if (next === undefined || next.at.getTime() > untilMs || step === last) {
        return;
      }
      last = step;
      if (next.at > this.clock.now()) {
        await this.clock.set(next.at, true);
      }
      await this.app.get(KeyRotationService).tick();
    }
  }

  /** What happened to a key in a time that has not come has happened now: it would otherwise wait for that time. */
  private async bringKeysBack(): Promise<void> {
    for (const column of ['created_at', 'activated_at', 'retiring_at']) {
      await this.database.query(
        `update signing_keys set ${column} = clock_timestamp() where ${column} > clock_timestamp()`,
      );
    }
    await this.app.get(KeysService).reload();
  }

  private async runDueJobs(): Promise<void> {
    await this.app.get(KeyRotationService).tick();
    await this.app.get(KeysService).reload();
    await this.app.get(TombstoneCleanerService).clean();
    await this.app.get(MailWorkerService, { strict: false }).sendDue();
  }

  /** @returns whether the application is to answer */
  private async letPass(
    fault: Fault,
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    notes: Notes,
  ): Promise<boolean> {
    if (fault.delay_ms !== undefined) {
      const gone = new AbortController();
      const abort = (): void => {
        gone.abort();
      };
      request.socket.once('close', abort);
      await pause(fault.delay_ms, undefined, { signal: gone.signal }).catch(() => undefined);
      request.socket.off('close', abort);
    }
    if (request.socket.destroyed) {
      return false;
    }
    if (fault.cut === 'before') {
      request.socket.destroy();
      return false;
    }
    if (fault.status !== undefined || fault.code !== undefined) {
      notes.code = answerInstead(fault, path, request, response);
      return false;
    }
    return true;
  }

  private takeNotes(): void {
    const instance = this.app.getHttpAdapter().getInstance();
    instance.addHook('onRequest', (request, _reply, done) => {
      const notes = this.notes.get(request.raw);
      if (notes !== undefined) {
        notes.hasBegun = true;
      }
      done();
    });
    instance.addHook('onSend', (request, reply, payload, done) => {
      const notes = this.notes.get(request.raw);
      if (notes !== undefined) {
        const outcome = outcomeOf(reply);
        const session = sessionOf(request);
        notes.code = outcome === 'ok' ? undefined : outcome;
        notes.userId = session?.userId;
        notes.sessionId = session?.sessionId;
        notes.hasAnswered = true;
        notes.onAnswered();
      }
      done(null, payload);
    });
  }
}

function entryOf(
  at: string,
  method: string,
  path: string,
  answer: ServerResponse,
  { code, userId, sessionId }: Notes,
  fault: Fault | undefined,
): RequestRecord {
  const requestId = answer.getHeader('x-request-id');
  return {
    at,
    method,
    path,
    status: answer.writableEnded ? answer.statusCode : null,
    ...(code !== undefined && { code }),
    ...(typeof requestId === 'string' && { request_id: requestId }),
    ...(userId !== undefined && { user_id: userId }),
    ...(sessionId !== undefined && { sid: sessionId }),
    ...(fault !== undefined && { fault: fault.id }),
  };
}

/** Takes an answer that the client is not to get. */
function swallowedResponse(request: IncomingMessage): ServerResponse {
  const response = new ServerResponse(request);
  const sink = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => {
      done();
    },
  });
  response.assignSocket(sink as Socket);
  response.once('finish', () => {
    response.destroy();
  });
  return response;
}

/** Every JWK says that it is of a test kit, which verifiers refuse in production. */
function markPublishedKeys(keys: KeysService): void {
  const publishedKeys = keys.publishedKeys.bind(keys);
  let known: { readonly original: PublishedDocument; readonly marked: PublishedDocument } | undefined;
  keys.publishedKeys = () => {
    const original = publishedKeys();
    if (known?.original !== original) {
      const set = JSON.parse(original.body.toString()) as { readonly keys: readonly object[] };
      const marked = { keys: set.keys.map((key) => ({ ...key, ratchet_test: true })) };
      known = { original, marked: publish(original.mediaType, JSON.stringify(marked)) };
    }
    return known.marked;
  };
}

/** It counts in memory by the real clock, and has no way to forget. */
function forgetRefusedTokens(limiter: RefusedTokenLimiterService, config: Config): void {
  const fresh = new RefusedTokenLimiterService(config);
  limiter.limitRefusals = (network, read) => fresh.limitRefusals(network, read);
}
