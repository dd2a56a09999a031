import { beforeAll, describe, expect, it } from 'vitest';
import { spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MAIL_ON } from './support/mail-on.js';
import { RELATED_PASSKEYS_ON } from './support/passkeys.js';
import { newEmail, newPassword } from './support/test-client.js';
import { useService } from './support/use-service.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TOOLS = join(ROOT, 'test', 'openapi-tools');
const INSTALLATION_DEADLINE_MS = 300_000;

/** No tool of another company sends anything, or asks for a newer version of itself. */
const ENVIRONMENT = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' };

describe('a tool that reads the OpenAPI document', () => {
  // A linter takes an address on the machine itself for a forgotten example.
  const { service } = useService({
    ...MAIL_ON,
    ...RELATED_PASSKEYS_ON,
    EMAIL_SIGN_IN: 'on',
    JWT_ISSUER: 'https://auth.ratchet.test',
  });

  beforeAll(async () => {
    const installer = join(ROOT, 'scripts', 'install-if-needed.mjs');
    expect(await run([installer, 'test/openapi-tools'])).toMatchObject({ exitCode: 0 });
    await mkdir(join(TOOLS, 'generated'), { recursive: true });
    const { text } = await service.client.get('/openapi.json');
    await writeFile(join(TOOLS, 'generated', 'openapi.json'), text);
  }, INSTALLATION_DEADLINE_MS);

  it('finds nothing: Redocly by its recommended rules', async () => {
    const cli = join('node_modules', '@redocly', 'cli', 'bin', 'cli.js');
    const { stdout } = await run([cli, 'lint', '--format', 'json', 'generated/openapi.json']);
    const { totals, problems } = JSON.parse(stdout) as { readonly totals: object; readonly problems: unknown[] };
    expect(problems).toEqual([]);
    expect(totals).toEqual({ errors: 0, warnings: 0, ignored: 0 });
  });

  it('finds nothing: Spectral by its rules for OpenAPI', async () => {
    const cli = join('node_modules', '@stoplight', 'spectral-cli', 'dist', 'index.js');
    const rules = ['--ruleset', 'spectral.yaml', '--fail-severity', 'hint', '--format', 'json', '--quiet'];
    const { exitCode, stdout } = await run([cli, 'lint', ...rules, 'generated/openapi.json']);
    expect({ exitCode, findings: JSON.parse(stdout) as unknown }).toEqual({ exitCode: 0, findings: [] });
  });

  it('generates a TypeScript client, whose types lead through a whole session', async () => {
    const generator = join('node_modules', 'openapi-typescript', 'bin', 'cli.js');
    const generated = await run([generator, 'generated/openapi.json', '--output', 'generated/schema.ts']);
    expect(generated).toMatchObject({ exitCode: 0 });
    const compiler = join('node_modules', 'typescript', 'bin', 'tsc');
    expect(await run([compiler, '--project', '.'])).toMatchObject({ exitCode: 0, stdout: '' });

    const { session } = (await import(new URL('openapi-tools/session.ts', import.meta.url).href)) as {
      readonly session: (baseUrl: string, email: string, password: string, next: string) => Promise<unknown[]>;
    };
    const email = newEmail();
    expect(await session(service.url, email, newPassword(), newPassword())).toEqual([
      email,
      'email_taken',
      [],
      ['Bearer', 300],
      [true],
      'access_token_revoked',
      204,
      2,
      'session_revoked',
    ]);
  });
});

/** Runs a program of Node in the folder of the tools. */
async function run(
  args: readonly string[],
): Promise<{ readonly exitCode: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = spawn(process.execPath, args, { cwd: TOOLS, env: ENVIRONMENT, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode) => {
      resolve({ exitCode, stdout, stderr });
    });
  });
}
