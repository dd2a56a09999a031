import { randomBytes } from 'node:crypto';
import { shuffled } from './random.mjs';

/**
 * A request that is repeated, described by plain data that can be sent to the generator's process:
 *
 * - `method`, `path`, `status` (the only good one)
 * - `credentials`: one string per client, at least as many as connections; they take turns, in an order of
 *   their own
 * - `place`: where the credential goes: `bearer`, `cookie`, `json` or `form`; absent: nowhere
 * - `body`: for `json` and `form`, the text around the credential, which stands there as `$`
 * - `successor`: the member of the JSON answer that is this client's next credential, for tokens that are good once
 * - `idempotencyKey`: whether every request carries a fresh key
 */
export class Operation {
  #spec;
  #free;

  constructor(spec) {
    this.#spec = spec;
    this.#free = new Ring(shuffled(spec.credentials).map((credential) => ({ credential, request: undefined })));
  }

  /** A client that has no request in flight; the one that has been idle longest. */
  takeClient() {
    return this.#free.shift();
  }

  returnClient(client) {
    this.#free.push(client);
  }

  /** @returns the bytes of a whole request; made once where it never changes */
  requestOf(client) {
    if (client.request === undefined || this.#spec.idempotencyKey === true) {
      client.request = this.#write(client.credential);
    }
    return client.request;
  }

  /** @returns whether the answer is the expected one; takes the client's next credential from it */
  accept(client, { status, body }) {
    if (status !== (this.#spec.status ?? 200)) {
      return false;
    }
    if (this.#spec.successor !== undefined) {
      const credential = memberOf(body, this.#spec.successor);
      if (credential === undefined) {
        return false;
      }
      client.credential = credential;
      client.request = undefined;
    }
    return true;
  }

  #write(credential) {
    const { method, path, place, body, idempotencyKey } = this.#spec;
    const lines = [`${method} ${path} HTTP/1.1`, 'host: 127.0.0.1'];
    if (idempotencyKey === true) {
      lines.push(`idempotency-key: ${randomBytes(16).toString('base64url')}`);
    }
    let text = '';
    if (place === 'bearer') {
      lines.push(`authorization: Bearer ${credential}`);
    } else if (place === 'cookie') {
      lines.push(`cookie: ${credential}`);
    } else if (place === 'json' || place === 'form') {
      text = body.replace('$', () => credential);
      const type = place === 'json' ? 'application/json' : 'application/x-www-form-urlencoded';
      lines.push(`content-type: ${type}`, `content-length: ${Buffer.byteLength(text)}`);
    }
    for (const [name, value] of this.#spec.headers ?? []) {
      lines.push(`${name}: ${value}`);
    }
    return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${text}`);
  }
}

/** Reads the first member of that name; tokens contain no escapes. */
function memberOf(body, name) {
  const start = body.indexOf(`"${name}":"`);
  if (start === -1) {
    return undefined;
  }
  const from = start + name.length + 4;
  const to = body.indexOf('"', from);
  return to === -1 ? undefined : body.latin1Slice(from, to);
}

/** First in, first out, without moving the rest: there may be a hundred thousand clients. */
class Ring {
  #items;
  #head = 0;
  #length;

  constructor(items) {
    this.#items = items;
    this.#length = items.length;
  }

  shift() {
    if (this.#length === 0) {
      return undefined;
    }
    const item = this.#items[this.#head];
    this.#head = (this.#head + 1) % this.#items.length;
    this.#length -= 1;
    return item;
  }

  /** Holds at most as many items as at the start. */
  push(item) {
    this.#items[(this.#head + this.#length) % this.#items.length] = item;
    this.#length += 1;
  }
}
