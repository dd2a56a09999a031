import { randomBytes } from 'node:crypto';
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { parseOptions } from '@node-rs/argon2';
import { usableCores } from '../platform/common/cores.js';
import { Config } from '../platform/config/config.js';
import { Argon2Threads } from './argon2-threads.js';
import { BoundedQueue, type WorkOrigin } from './bounded-queue.js';
import type { Applicant } from './users.types.js';

/** The library's defaults for variant and version, RFC 9106. */
const CURRENT_VARIANT = '$argon2id$v=19$';

const SALT_BYTES = 16;

/** Keyed by `PASSWORD_HASH_COST`; `memoryCost` is in KiB. */
const PARAMETERS = {
  /** One of the equivalent minimum settings of OWASP's Password Storage Cheat Sheet. */
  full: { memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 },
  /** The least that Argon2 allows. */
  least: { memoryCost: 8, timeCost: 1, parallelism: 1, outputLen: 32 },
};

/** A thread holds 5 MB, and 19 more while it computes. */
const MOST_RUNNING = 16;

/**
 * A hash takes 10 to 20 ms of a core, so the last in the queue waits one to three seconds, as long as a person would.
 */
const MAX_WAITING_PER_RUNNING = 128;

/**
 * Argon2id hashes as PHC strings, computed off the event loop. Every byte of a password counts: those after the 72nd,
 * after a NUL, and leading and trailing spaces.
 *
 * Hashing is the most expensive work that an anonymous request can cause. So the number of hashes in progress and in
 * the queue is bounded, and hashing yields to everything else.
 *
 * @throws OverloadedError from each asynchronous method when the queue is full; nothing was computed
 */
@Injectable()
export class PasswordHasherService implements OnApplicationShutdown {
  private readonly queue: BoundedQueue;

  private readonly threads = new Argon2Threads();

  private readonly parameters: (typeof PARAMETERS)['full'];

  /** Matches no password: takes as long to verify as an account's. */
  private readonly dummyHash: string;

  constructor({ passwords }: Config) {
    this.parameters = PARAMETERS[passwords.hashCost];
    const { memoryCost, timeCost, parallelism } = this.parameters;
    const cost = `m=${memoryCost},t=${timeCost},p=${parallelism}`;
    this.dummyHash = `${CURRENT_VARIANT}${cost}$${'A'.repeat(22)}$${'A'.repeat(43)}`;
    const maxRunning = Math.min(usableCores(), MOST_RUNNING);
    this.queue = new BoundedQueue({ maxRunning, maxWaiting: MAX_WAITING_PER_RUNNING * maxRunning });
  }

  /** How many hashes wait for others to be computed. */
  get waitingCount(): number {
    return this.queue.waitingCount;
  }

  /**
   * @throws OverloadedError when a hash would be refused now; a call in advance saves the work that leads to the hash
   */
  requireRoom(applicant?: Applicant): void {
    this.queue.requireRoom(originOf(applicant).owner);
  }

  hash(password: Uint8Array, applicant?: Applicant): Promise<string> {
    return this.queue.run(originOf(applicant), () =>
      this.threads.hash(password, { ...this.parameters, salt: randomBytes(SALT_BYTES) }),
    );
  }

  /**
   * @param passwordHash undefined if there is no account: never matches, and takes as long, so that the time of an
   *   answer does not reveal it
   */
  async verify(passwordHash: string | undefined, password: Uint8Array, applicant?: Applicant): Promise<boolean> {
    const isCorrect = await this.queue.run(originOf(applicant), () =>
      this.threads.verify(passwordHash ?? this.dummyHash, password),
    );
    return isCorrect && passwordHash !== undefined;
  }

  onApplicationShutdown(): Promise<void> {
    return this.threads.end();
  }

  /** Whether the hash is of another variant or version, or any of its parameters is below today's. */
  needsRehash(passwordHash: string): boolean {
    const found = parseOptions(passwordHash);
    return (
      !passwordHash.startsWith(CURRENT_VARIANT) ||
      found.memoryCost < this.parameters.memoryCost ||
      found.timeCost < this.parameters.timeCost ||
      found.parallelism < this.parameters.parallelism ||
      found.outputLen < this.parameters.outputLen ||
      found.saltLen < SALT_BYTES
    );
  }
}

/** Names the widest network, because a client that has many narrow ones must not have many turns. */
function originOf(applicant: Applicant | undefined): WorkOrigin {
  return applicant === undefined
    ? { owner: '', isAbandoned: () => false }
    : { owner: applicant.networks.at(-1) ?? '', isAbandoned: applicant.hasGone };
}
