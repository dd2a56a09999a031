import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../load/main.mjs', import.meta.url));

/** The load generator, in a process of its own. */
export class LoadGenerator {
  #child = fork(MAIN, { serialization: 'advanced' });
  #orders = new Map();
  #lastId = 0;

  constructor() {
    this.#child.on('message', ({ id, value, failure }) => {
      const { resolve, reject } = this.#orders.get(id);
      this.#orders.delete(id);
      if (failure === undefined) {
        resolve(value);
      } else {
        reject(new Error(`the load generator failed: ${failure}`));
      }
    });
    this.#child.on('exit', (code) => {
      this.#orders.forEach(({ reject }) => reject(new Error(`the load generator has ended with ${code}`)));
    });
  }

  /** @param spec see load/operation.mjs */
  define(name, spec) {
    return this.#order('define', { name, spec });
  }

  forget(names) {
    return this.#order('forget', { names });
  }

  /** @returns {Promise<{results: object[], generatorCores: number}>} one result per loop, in their order */
  run(loops) {
    return this.#order('run', { loops });
  }

  stop() {
    this.#child.disconnect();
  }

  #order(order, options) {
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#orders.set(id, { resolve, reject });
      this.#child.send({ id, order, ...options });
    });
  }
}
