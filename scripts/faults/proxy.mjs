import { connect, createServer } from 'node:net';

/**
 * Stands between one instance and the database and fails like a network. Bytes that it holds back reach the database
 * even if the instance has given the connection up meanwhile: that is what a late statement is.
 */
export class Proxy {
  #links = new Set();
  #heldUntil = 0;
  #isRefusing = false;
  #server = createServer({ noDelay: true }, (client) => this.#link(client));

  /** @param target function that returns the port of the database, which may move */
  constructor(target) {
    this.target = target;
  }

  async listen() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    this.port = this.#server.address().port;
  }

  /** Ends connections, each with this probability. */
  cut(random, probability = 1) {
    for (const link of this.#links) {
      if (random.happens(probability)) {
        link.client.destroy();
        link.server.destroy();
      }
    }
  }

  /** What the instance sends from now on arrives that much later, all of it together. */
  holdBack(ms) {
    this.#heldUntil = performance.now() + ms;
  }

  refuse(isRefusing) {
    this.#isRefusing = isRefusing;
  }

  async close() {
    for (const { client, server } of this.#links) {
      client.destroy();
      server.destroy();
    }
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #link(client) {
    client.on('error', () => undefined);
    if (this.#isRefusing) {
      client.destroy();
      return;
    }
    const server = connect({ host: '127.0.0.1', port: this.target(), noDelay: true });
    server.on('error', () => undefined);
    const link = { client, server };
    this.#links.add(link);
    // In order, whatever is held back in between.
    let previous = Promise.resolve();
    let isHolding = 0;
    client.on('data', (bytes) => {
      const wait = this.#heldUntil - performance.now();
      if (wait <= 0 && isHolding === 0) {
        server.write(bytes);
        return;
      }
      isHolding += 1;
      previous = previous.then(async () => {
        const left = this.#heldUntil - performance.now();
        if (left > 0) {
          await new Promise((resolve) => setTimeout(resolve, left));
        }
        isHolding -= 1;
        if (!server.destroyed) {
          server.write(bytes);
        }
      });
    });
    server.on('data', (bytes) => {
      if (!client.destroyed) {
        client.write(bytes);
      }
    });
    client.on('close', () => {
      void previous.then(() => server.end());
    });
    server.on('close', () => {
      this.#links.delete(link);
      client.destroy();
    });
  }
}
