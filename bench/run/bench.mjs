import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BenchServer } from './database.mjs';
import { LoadGenerator } from './load-generator.mjs';
import { usageOf } from './process-tree.mjs';
import { POOL_SIZE } from './scale.mjs';

export const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const BENCH = join(ROOT, 'bench');

/** Lies on the disk of the checkout, because the temporary folder of many systems is memory, where fsync costs nothing. */
const DATA_DIR = join(ROOT, '.ratchet-bench-run');

/** Holds what the parts of a run share: one PostgreSQL, one load generator, one secret. */
export class Bench {
  /**
   * @param options `scale` of scale.mjs, `ratchetEnv` on top of the service's environment, `nodeArgs` for the service,
   *   `report` for lines of progress
   */
  static async open(options) {
    rmSync(DATA_DIR, { recursive: true, force: true });
    mkdirSync(DATA_DIR);
    const server = await BenchServer.start(join(DATA_DIR, 'postgres'));
    return new Bench(options, server, await server.postmasterPid());
  }

  constructor({ scale, ratchetEnv, nodeArgs, report }, server, postmasterPid) {
    this.scale = scale;
    this.ratchetEnv = ratchetEnv;
    this.nodeArgs = nodeArgs;
    this.report = report;
    this.server = server;
    this.generator = new LoadGenerator();
    this.dataDir = DATA_DIR;
    this.authSecret = randomBytes(32).toString('base64url');
    this.postmasterPid = postmasterPid;
  }

  logFile(name) {
    return join(DATA_DIR, `${name}.log`);
  }

  postgresUsage() {
    return usageOf(this.postmasterPid);
  }

  /** @returns the service's environment; production mode, limits off, the log at its default level into a file */
  ratchetEnvironment(databaseUrl) {
    return {
      HOST: '127.0.0.1',
      DATABASE_URL: databaseUrl,
      DATABASE_POOL_SIZE: String(POOL_SIZE),
      AUTH_SECRET: this.authSecret,
      JWT_ISSUER: 'http://127.0.0.1',
      JWT_AUDIENCE: 'bench',
      RATE_LIMITS: 'off',
      // The tokens of verify are minted once and used through the whole run.
      ACCESS_TOKEN_TTL_SECONDS: '3600',
      ...this.ratchetEnv,
    };
  }

  /** Runs a program of this folder to its end. @returns its standard output */
  async runProgram(path, env) {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, [join(BENCH, path)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { PATH, HOME, NODE_ENV: 'production', ...env },
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (output += text));
    const [code] = await once(child, 'close');
    if (code !== 0) {
      throw new Error(`${path} has ended with ${code}`);
    }
    return output;
  }

  /** Runs a seed, which writes to the file that OUT names. @returns what it wrote */
  async runSeed(path, env) {
    const out = join(DATA_DIR, 'seed.json');
    await this.runProgram(path, { OUT: out, POOL_SIZE: String(POOL_SIZE), ...env });
    return JSON.parse(readFileSync(out, 'utf8'));
  }

  async close() {
    this.generator.stop();
    await this.server.stop();
    rmSync(DATA_DIR, { recursive: true, force: true });
  }
}
