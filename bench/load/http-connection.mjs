import { connect } from 'node:net';

const HEAD_END = Buffer.from('\r\n\r\n');
const CONTENT_LENGTH = /\r\ncontent-length: *(\d+)/i;
const CHUNKED = /\r\ntransfer-encoding: *chunked/i;
const CLOSES = /\r\nconnection: *close/i;
const RETRY_AFTER = /\r\nretry-after: *(\d+)/i;

/** An answer that takes longer than this is of no use, whichever server is measured. */
const LONGEST_ANSWER_MS = 30_000;

/**
 * One keep-alive HTTP/1.1 connection with one request in flight. It reads what the servers of this benchmark write and
 * no more, because whatever the generator spends the measured server lacks: they share the cores.
 */
export class HttpConnection {
  #port;
  #socket;
  #received = [];
  #receivedBytes = 0;
  #answer;

  constructor(port) {
    this.#port = port;
  }

  /**
   * @param bytes a whole request
   * @returns {Promise<{status: number, body: Buffer, retryAfterSeconds: number | undefined}>} status 0 when the
   *   connection was lost before the answer was complete
   */
  request(bytes) {
    return new Promise((resolve) => {
      this.#answer = resolve;
      this.#open().write(bytes);
    });
  }

  close() {
    this.#socket?.destroy();
  }

  #open() {
    if (this.#socket !== undefined) {
      return this.#socket;
    }
    const socket = connect({ port: this.#port, host: '127.0.0.1', noDelay: true });
    socket.setTimeout(LONGEST_ANSWER_MS, () => socket.destroy());
    socket.on('data', (chunk) => this.#receive(chunk));
    // A `close` follows every error and handles it.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      if (this.#socket === socket) {
        this.#socket = undefined;
        this.#settle({ status: 0, body: Buffer.alloc(0), retryAfterSeconds: undefined });
      }
    });
    this.#socket = socket;
    return socket;
  }

  #receive(chunk) {
    this.#received.push(chunk);
    this.#receivedBytes += chunk.length;
    const bytes = this.#received.length === 1 ? chunk : Buffer.concat(this.#received, this.#receivedBytes);
    this.#received = [bytes];
    const headEnd = bytes.indexOf(HEAD_END);
    if (headEnd === -1) {
      return;
    }
    const head = bytes.latin1Slice(0, headEnd);
    const status = Number(head.slice(9, 12));
    const body = bodyOf(head, bytes.subarray(headEnd + HEAD_END.length));
    if (body === undefined) {
      return;
    }
    if (CLOSES.test(head)) {
      this.#socket.destroy();
      this.#socket = undefined;
    }
    const retryAfter = status === 503 ? RETRY_AFTER.exec(head)?.[1] : undefined;
    this.#settle({ status, body, retryAfterSeconds: retryAfter === undefined ? undefined : Number(retryAfter) });
  }

  #settle(answer) {
    const resolve = this.#answer;
    this.#answer = undefined;
    this.#received = [];
    this.#receivedBytes = 0;
    resolve?.(answer);
  }
}

/** @returns undefined until all of it is there */
function bodyOf(head, rest) {
  const length = CONTENT_LENGTH.exec(head)?.[1];
  if (length !== undefined) {
    return rest.length < Number(length) ? undefined : rest;
  }
  return CHUNKED.test(head) ? joinChunks(rest) : rest;
}

/** RFC 9112 section 7.1, without extensions and trailers, which no server here sends. */
function joinChunks(bytes) {
  const chunks = [];
  for (let at = 0; ;) {
    const lineEnd = bytes.indexOf('\r\n', at);
    if (lineEnd === -1) {
      return undefined;
    }
    const length = Number.parseInt(bytes.latin1Slice(at, lineEnd), 16);
    const [start, end] = [lineEnd + 2, lineEnd + 2 + length];
    if (bytes.length < end + 2) {
      return undefined;
    }
    if (length === 0) {
      return Buffer.concat(chunks);
    }
    chunks.push(bytes.subarray(start, end));
    at = end + 2;
  }
}
