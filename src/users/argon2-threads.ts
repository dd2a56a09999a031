import { Worker } from 'node:worker_threads';
import type { Options } from '@node-rs/argon2';

const PROGRAM = new URL('./argon2.thread.mjs', import.meta.url);

/** A tenth of the share of a core that the event loop and PostgreSQL have when all want it. */
export const THREAD_NICENESS = 10;

type Order =
  | { readonly operation: 'hash'; readonly parameters: readonly [password: Uint8Array, options: Options] }
  | { readonly operation: 'verify'; readonly parameters: readonly [passwordHash: string, password: Uint8Array] };

type Answer = { readonly value: unknown } | { readonly failure: string };

/**
 * Computes Argon2id hashes in threads of lower priority, which start when they are first needed. The threads of libuv
 * will not do: name look-ups wait for them, and they compete with the event loop for a core on equal terms, so that a
 * request that needs no hash would wait at each of its steps while every core is hashing.
 */
export class Argon2Threads {
  private readonly idle: Worker[] = [];
  private readonly all = new Set<Worker>();

  hash(password: Uint8Array, options: Options): Promise<string> {
    return this.run({ operation: 'hash', parameters: [password, options] }) as Promise<string>;
  }

  /** @throws Error when the hash is not one */
  verify(passwordHash: string, password: Uint8Array): Promise<boolean> {
    return this.run({ operation: 'verify', parameters: [passwordHash, password] }) as Promise<boolean>;
  }

  /** Ends the threads; hashes in progress are rejected. */
  async end(): Promise<void> {
    await Promise.all([...this.all].map((thread) => thread.terminate()));
  }

  private async run(order: Order): Promise<unknown> {
    const thread = this.idle.pop() ?? this.start();
    // The thread keeps the process alive only while it computes a hash.
    thread.ref();
    try {
      const answer = await askOnce(thread, order);
      if ('failure' in answer) {
        throw new Error(answer.failure);
      }
      return answer.value;
    } finally {
      thread.unref();
      if (this.all.has(thread)) {
        this.idle.push(thread);
      }
    }
  }

  private start(): Worker {
    // A thread needs no preloaded modules, and must not see the environment, which holds secrets.
    const thread = new Worker(PROGRAM, { execArgv: [], env: {}, workerData: { niceness: THREAD_NICENESS } });
    this.all.add(thread);
    thread.on('error', ignoreError);
    thread.on('exit', () => {
      this.all.delete(thread);
      const index = this.idle.indexOf(thread);
      if (index !== -1) {
        this.idle.splice(index, 1);
      }
    });
    return thread;
  }
}

/** @throws Error when the thread ends before it has answered */
function askOnce(thread: Worker, order: Order): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const onExit = (): void => {
      reject(new Error('the hashing thread ended before it had computed the hash'));
    };
    thread.once('exit', onExit);
    thread.once('message', (answer: Answer) => {
      thread.off('exit', onExit);
      resolve(answer);
    });
    thread.postMessage(order);
  });
}

function ignoreError(): void {
  // The thread's `exit` event follows and rejects the hash.
}
