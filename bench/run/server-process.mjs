import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { HttpConnection } from '../load/http-connection.mjs';
import { usageOf } from './process-tree.mjs';

const LONGEST_START_MS = 30_000;
const LONGEST_STOP_MS = 15_000;

/** A server under measurement: its own process in production mode, its output in a file. */
export class ServerProcess {
  static #running = new Set();

  #child;
  #logFile;

  /**
   * Resolves when it answers.
   *
   * @param args of node
   * @param readyPath answered with 200 once it serves
   */
  static async start({ args, env, port, readyPath, logFile }) {
    const log = openSync(logFile, 'a');
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', log, log],
      env: { PATH, HOME, NODE_ENV: 'production', PORT: String(port), ...env },
    });
    closeSync(log);
    const server = new ServerProcess(child, logFile);
    const deadline = performance.now() + LONGEST_START_MS;
    while (!(await isAnswering(port, readyPath))) {
      if (child.exitCode !== null || performance.now() > deadline) {
        await server.stop();
        throw new Error(`${args.at(-1)} does not answer:\n${server.logTail()}`);
      }
      await pause(20);
    }
    return server;
  }

  constructor(child, logFile) {
    this.#child = child;
    this.#logFile = logFile;
    ServerProcess.#running.add(this);
    child.once('exit', () => ServerProcess.#running.delete(this));
  }

  /** Ends the server of an interrupted run. */
  static async stopAll() {
    await Promise.all([...this.#running].map((server) => server.stop()));
  }

  usage() {
    return usageOf(this.#child.pid);
  }

  logTail() {
    return readFileSync(this.#logFile, 'utf8').slice(-2_000);
  }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
      return;
    }
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), LONGEST_STOP_MS);
    await ended;
    clearTimeout(timer);
  }
}

export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

async function isAnswering(port, path) {
  const connection = new HttpConnection(port);
  const { status } = await connection.request(Buffer.from(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`));
  connection.close();
  return status === 200;
}
