import cluster, { type Worker } from 'node:cluster';
import { fileURLToPath } from 'node:url';
import type { Logger } from 'pino';
import { messageOf } from '../platform/common/is-error.js';
import type { DatabaseAddress } from '../platform/database/database.types.js';
import { AnnouncementRelay, type WorkerLine } from './announcement-relay.js';
import type { FromWorker } from './messages.js';
import { LASTING_MS, RestartPolicy } from './restart.policy.js';
import { WorkersFailedError } from './workers.errors.js';

const WORKER_PROGRAM = fileURLToPath(new URL('../worker.js', import.meta.url));

/** Requests in flight get ten seconds (`drainDeadlineMs`); a worker that is still there after these does not end by itself. */
const LONGEST_STOP_MS = 15_000;

interface Member extends WorkerLine {
  readonly number: number;
  readonly worker: Worker;
  readonly hasEnded: Promise<void>;
  isServing: boolean;
  hasLasted: boolean;
  /** Why it could not start, in its own words. */
  failure: string | undefined;
}

/**
 * Keeps a number of worker processes running that share one port, replaces one that dies, carries announcements between
 * them, and ends them together. It serves nothing itself.
 */
export class Supervisor {
  private readonly members = new Set<Member>();
  private readonly policies = new Map<number, RestartPolicy>();
  private readonly pauses = new Set<NodeJS.Timeout>();
  private readonly relay = new AnnouncementRelay((line) => {
    this.reportLate(line);
  });
  private isListening = false;
  private isStopping = false;
  private giveUp: (error: WorkersFailedError) => void = () => undefined;

  /** @param onListening called once, when all workers serve for the first time */
  constructor(
    private readonly count: number,
    private readonly address: DatabaseAddress,
    private readonly logger: Logger,
    private readonly onListening: (url: string) => void,
  ) {}

  /**
   * Resolves when `shutdown` has aborted and every worker has finished its requests and ended.
   *
   * @throws WorkersFailedError when a worker cannot start, or workers die at their start again and again while none
   *   serves; no worker is left then
   */
  async run(shutdown: AbortSignal): Promise<void> {
    cluster.schedulingPolicy = cluster.SCHED_RR;
    cluster.setupPrimary({ exec: WORKER_PROGRAM, args: [] });
    try {
      await new Promise<void>((resolve, reject) => {
        this.giveUp = reject;
        for (let number = 1; number <= this.count; number += 1) {
          this.start(number);
        }
        shutdown.addEventListener('abort', () => {
          resolve();
        });
        if (shutdown.aborted) {
          resolve();
        }
      });
      this.logger.info({ event: 'stopping' }, 'finishing the requests in flight');
    } finally {
      await this.stop();
    }
  }

  private start(number: number): void {
    const worker = cluster.fork();
    const member: Member = {
      number,
      worker,
      // A worker that could not be spawned has an error and no exit.
      hasEnded: new Promise((resolve) => {
        worker.once('exit', () => {
          resolve();
        });
        worker.on('error', () => {
          if (worker.process.pid === undefined) {
            resolve();
          }
        });
      }),
      isServing: false,
      hasLasted: false,
      failure: undefined,
      send: (message) => {
        if (worker.isConnected()) {
          // The callback keeps a line that breaks meanwhile from being an 'error' event; the worker's end tells as much.
          worker.send(message, undefined, () => undefined);
        }
      },
    };
    this.members.add(member);
    this.relay.connect(member);
    worker.on('error', (error) => {
      member.failure ??= messageOf(error);
    });
    worker.on('message', (message: FromWorker) => {
      this.receive(member, message);
    });
    void member.hasEnded.then(() => {
      this.replace(member);
    });
  }

  private receive(member: Member, message: FromWorker): void {
    switch (message.kind) {
      case 'started':
        member.send({ kind: 'serve', number: member.number, address: this.address });
        break;
      case 'joined':
        this.relay.join(member);
        break;
      case 'announce':
        this.relay.announce(member, message.announcement, message.sessionIds);
        break;
      case 'heard':
        this.relay.heard(member, message.round);
        break;
      case 'failed':
        member.failure = message.reason;
        break;
      case 'serving':
        member.isServing = true;
        this.waitUntilItLasts(member);
        this.logger.info(
          { event: 'worker_serving', worker: member.number, pid: member.worker.process.pid },
          'a worker serves',
        );
        if (!this.isListening && this.servingCount() === this.count) {
          this.isListening = true;
          this.onListening(message.url);
        }
        break;
    }
  }

  private waitUntilItLasts(member: Member): void {
    const timer = setTimeout(() => {
      member.hasLasted = true;
      this.policyOf(member.number).lasted();
    }, LASTING_MS).unref();
    void member.hasEnded.then(() => {
      clearTimeout(timer);
    });
  }

  private replace(member: Member): void {
    this.members.delete(member);
    this.relay.disconnect(member);
    if (this.isStopping) {
      return;
    }
    const { number } = member;
    const reason = describeEnd(member);
    this.logger.error({ event: 'worker_ended', worker: number, reason }, 'a worker has ended');
    // What keeps the first workers from starting would keep the next ones from it, as it would a single process.
    const isHopeless = !this.isListening && member.failure !== undefined;
    const pauseMs = isHopeless ? undefined : this.policyOf(number).afterEnd(member.hasLasted, this.servingCount() > 0);
    if (pauseMs === undefined) {
      this.giveUp(
        new WorkersFailedError(isHopeless ? reason : `The workers end as soon as they start. The last: ${reason}`),
      );
      return;
    }
    const pause = setTimeout(() => {
      this.pauses.delete(pause);
      this.start(number);
    }, pauseMs);
    this.pauses.add(pause);
  }

  private async stop(): Promise<void> {
    this.isStopping = true;
    this.pauses.forEach((pause) => {
      clearTimeout(pause);
    });
    const members = [...this.members];
    members.forEach((member) => {
      member.send({ kind: 'stop' });
    });
    const deadline = setTimeout(() => {
      for (const { number, worker } of this.members) {
        this.logger.error({ event: 'worker_killed', worker: number }, 'a worker did not end and was killed');
        worker.process.kill('SIGKILL');
      }
    }, LONGEST_STOP_MS);
    await Promise.all(members.map(({ hasEnded }) => hasEnded));
    clearTimeout(deadline);
  }

  private servingCount(): number {
    return [...this.members].filter(({ isServing }) => isServing).length;
  }

  private policyOf(number: number): RestartPolicy {
    const policy = this.policies.get(number) ?? new RestartPolicy();
    this.policies.set(number, policy);
    return policy;
  }

  private reportLate(line: WorkerLine): void {
    const number = [...this.members].find((member) => member === line)?.number;
    this.logger.warn(
      { event: 'worker_late', worker: number },
      'a worker does not answer; it learns of ended sessions from the database until it does',
    );
  }
}

function describeEnd({ failure, worker }: Member): string {
  const { exitCode, signalCode } = worker.process;
  return (
    failure ?? (signalCode === null ? `it ended with exit code ${String(exitCode)}` : `it was ended by ${signalCode}`)
  );
}
