import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { transformFileSync } from '@swc/core';

import { isFitSecret } from './auth-secret.policy.js';
import { createGeneratedSecret, findGeneratedSecret } from './generated-secret.js';

let root: string;
let dataDir: string;
let secretFile: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'ratchet-secret-'));
  dataDir = join(root, 'data');
  secretFile = join(dataDir, 'auth-secret');
});

afterEach(() => {
  rmSync(root, { recursive: true });
});

describe('the generated secret', () => {
  it('is absent in a new data directory, and looking for it creates nothing', () => {
    expect(findGeneratedSecret(dataDir)).toBeUndefined();
    expect(readdirSync(root)).toEqual([]);
  });

  it('is 32 random bytes in base64url that only their owner can read', () => {
    const text = createGeneratedSecret(dataDir).toString('utf8');
    expect(Buffer.from(text, 'base64url')).toHaveLength(32);
    expect(isFitSecret(text)).toBe(true);
    expect(statSync(secretFile).mode & 0o777).toBe(0o600);
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(readdirSync(dataDir)).toEqual(['auth-secret']);
  });

  it('is found again by the next start', () => {
    const secret = createGeneratedSecret(dataDir);
    expect(findGeneratedSecret(dataDir)).toEqual(secret);
  });

  it('is adopted and not replaced when another process has generated it meanwhile', () => {
    const winner = createGeneratedSecret(dataDir);
    expect(createGeneratedSecret(dataDir)).toEqual(winner);
    expect(readdirSync(dataDir)).toEqual(['auth-secret']);
  });

  it('differs from one data directory to another', () => {
    expect(createGeneratedSecret(dataDir)).not.toEqual(createGeneratedSecret(join(root, 'other')));
  });

  it.each([
    ['empty', ''],
    ['cut off', 'k3Vq9Zx7Lm2'],
    ['emptied except for its newline', '\n'],
  ])('is never overwritten when its file is %s; that is a problem', (_state, content) => {
    mkdirSync(dataDir);
    writeFileSync(secretFile, content);
    expect(() => findGeneratedSecret(dataDir)).toThrow('the file auth-secret in DATA_DIR is damaged');
    expect(() => createGeneratedSecret(dataDir)).toThrow('the file auth-secret in DATA_DIR is damaged');
    expect(readFileSync(secretFile, 'utf8')).toBe(content);
  });

  it('is a problem with its errno code when it cannot be read or the directory cannot be made', () => {
    writeFileSync(dataDir, '');
    expect(() => findGeneratedSecret(dataDir)).toThrow('auth-secret in DATA_DIR cannot be read (ENOTDIR)');
    expect(() => createGeneratedSecret(join(dataDir, 'below'))).toThrow(
      'auth-secret in DATA_DIR cannot be created (ENOTDIR)',
    );
  });

  it('keeps the mode of a data directory that exists', () => {
    mkdirSync(dataDir);
    chmodSync(dataDir, 0o750);
    createGeneratedSecret(dataDir);
    expect(statSync(dataDir).mode & 0o777).toBe(0o750);
  });

  it('is the same for all when several start at the same moment', async () => {
    const program = transpile();
    for (let round = 0; round < 3; round += 1) {
      const secrets = await race(program, join(root, `data-${round}`), 6);
      expect(secrets).toHaveLength(6);
      expect(new Set(secrets).size).toBe(1);
    }
  });
});

/** Threads run plain JavaScript, so the few files that they need are transpiled next to each other. */
function transpile(): URL {
  const directory = join(root, 'program');
  mkdirSync(directory);
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  for (const name of ['auth-secret.policy', 'config.errors', 'config.parsers', 'generated-secret', 'text-file']) {
    const { code } = transformFileSync(new URL(`${name}.ts`, import.meta.url).pathname, {
      jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
      module: { type: 'es6' },
    });
    writeFileSync(join(directory, `${name}.js`), code);
  }
  const starter = join(directory, 'starter.js');
  writeFileSync(
    starter,
    `import { parentPort, workerData } from 'node:worker_threads';
     import { createGeneratedSecret } from './generated-secret.js';
     const gate = new Int32Array(workerData.gate);
     parentPort.postMessage('ready');
     Atomics.wait(gate, 0, 0);
     parentPort.postMessage(createGeneratedSecret(workerData.dataDir).toString('utf8'));`,
  );
  return new URL(`file://${starter}`);
}

/** Lets all starters go at once and collects the secret that each ends with. */
async function race(program: URL, directory: string, starters: number): Promise<readonly string[]> {
  const gate = new SharedArrayBuffer(4);
  const messages: string[] = [];
  let ready = 0;
  await Promise.all(
    Array.from(
      { length: starters },
      () =>
        new Promise<void>((resolve, reject) => {
          const worker = new Worker(program, { workerData: { gate, dataDir: directory } });
          worker.on('error', reject);
          worker.on('exit', () => {
            resolve();
          });
          worker.on('message', (message: string) => {
            if (message !== 'ready') {
              messages.push(message);
              return;
            }
            ready += 1;
            if (ready === starters) {
              Atomics.store(new Int32Array(gate), 0, 1);
              Atomics.notify(new Int32Array(gate), 0);
            }
          });
        }),
    ),
  );
  return messages;
}
