import { beforeAll, describe, expect, it } from 'vitest';
import { chmod, readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './support/free-port.js';
import { isInstalled, makeScratchFolder } from './support/gateway-process.js';
import { type CommandResult, runCommand } from './support/run-command.js';
import { AUTH_SECRET } from './support/test-service.js';
import { useService } from './support/use-service.js';

const CHECKOUT = fileURLToPath(new URL('../', import.meta.url));
const BETWEEN = '-- next --';

/** Several commands one after the other, each of which starts Node, on a machine that does other things as well. */
const COMMANDS_TIMEOUT_MS = 180_000;

/** Where documents have ```sh blocks. A block in another section has no test here, and must be marked ```console. */
const EXECUTED = [
  'README.md: Ten minutes with curl',
  'docs/gateways.md: Try it with nginx',
  'docs/operations.md: Accounts',
  'docs/operations.md: Changing AUTH_SECRET',
  'docs/operations.md: Signing keys',
  'docs/second-factors.md: Try it with curl',
];

/** In place of `oathtool`: what an authenticator app shows so many seconds from now. */
const TOTP = `totp() { "${process.execPath}" --input-type=module -e '
  import { generateSync } from "otplib";
  const [secret, later] = process.argv.slice(1);
  console.log(generateSync({ secret, epoch: Date.now() / 1_000 + Number(later) }));' "$SECRET" "$1"; }`;

/** "document: section" → its ```sh blocks. */
async function readShellBlocks(): Promise<ReadonlyMap<string, readonly string[]>> {
  const names = (await readdir(join(CHECKOUT, 'docs'))).filter((name) => name.endsWith('.md'));
  const blocks = new Map<string, string[]>();
  for (const document of ['README.md', ...names.map((name) => `docs/${name}`)]) {
    const markdown = await readFile(join(CHECKOUT, document), 'utf8');
    for (const section of markdown.split(/^#+ (?=.*$)/m)) {
      const found = [...section.matchAll(/^ *```sh\n([^]*?)^ *```$/gm)].map(([, block = '']) => block.trim());
      if (found.length > 0) {
        blocks.set(`${document}: ${section.split('\n', 1)[0] ?? ''}`, found);
      }
    }
  }
  return blocks;
}

describe('the shell blocks of the documents', () => {
  const { database, service } = useService({ SECOND_FACTORS: 'on' });
  let blocks: ReadonlyMap<string, readonly string[]>;

  beforeAll(async () => {
    blocks = await readShellBlocks();
  });

  /** Runs the blocks one after the other in one shell, as a reader pastes them. */
  async function paste(section: string, adapt: (block: string) => string): Promise<CommandResult> {
    return runCommand('bash', ['--norc', '-s'], {
      workingDirectory: CHECKOUT,
      input: blocks.get(section)?.map(adapt).join(`\necho; echo '${BETWEEN}'\n`) ?? 'exit 1',
    });
  }

  /**
   * Runs each line as a command of its own, configured like the service, without npm's own start and the build check.
   */
  async function runLines(section: string): Promise<(CommandResult & { readonly line: string })[]> {
    const { scripts } = JSON.parse(await readFile(join(CHECKOUT, 'package.json'), 'utf8')) as {
      readonly scripts: Readonly<Record<string, string>>;
    };
    const results = [];
    for (const line of blocks.get(section)?.join('\n').split('\n') ?? []) {
      const command = line.replace(/^npm run (\w+) --/, (_match, script: string) => scripts[script] ?? 'exit 1;');
      const environment = { DATABASE_URL: database.url, AUTH_SECRET };
      results.push({
        line,
        ...(await runCommand('bash', ['--norc', '-c', command], { workingDirectory: CHECKOUT, environment })),
      });
    }
    return results;
  }

  it('are all executed here', () => {
    expect([...blocks.keys()].sort()).toEqual(EXECUTED);
  });

  it('lead through the ten minutes of the README as it says', async () => {
    const { exitCode, stdout, stderr } = await paste('README.md: Ten minutes with curl', (block) =>
      block.replace('BASE=http://127.0.0.1:3000', `BASE=${service.url}`),
    );
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });

    const [signUp, signIn, use, refresh, repeat, theft, aftermath, signOut] = stdout
      .split(BETWEEN)
      .map((text) => text.trim());
    expect(signUp).toMatch(
      /^\{"id":"[0-9a-f-]{36}","email":"grace@example.com","email_verified":false,"roles":\[\],"created_at":".*"\}$/,
    );
    expect(signIn).toMatch(/^\{"access_token":"eyJ.*","refresh_expires_in":1209600\}$/);
    expect(use).toBe(signUp);
    expect(refresh).toMatch(/^rt1\.[\w-]{92}$/);
    expect(repeat).toBe(refresh);
    expect(theft).toContain('"code":"refresh_token_reused"');
    expect(codesIn(aftermath)).toEqual(['refresh_token_reused', 'access_token_revoked']);
    expect(signOut).toMatch(
      /^\{"sessions":\[\{.*"current":true.*\}\]\}\n204\n\{.*"code":"access_token_revoked","request_id":"[\w-]+"\}$/,
    );
  });

  it('lead through both steps of a sign-in as docs/second-factors.md says', async () => {
    const { exitCode, stdout, stderr } = await paste('docs/second-factors.md: Try it with curl', (block) =>
      block
        .replace('BASE=http://127.0.0.1:3000', `BASE=${service.url}`)
        .replace(/^totp\(\) .*$/m, () => TOTP)
        // Other documents sign up with theirs, and sign in by the password alone.
        .replace('grace@example.com', 'hedy@example.com'),
    );
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    const [begun, codes, required, pair, left] = stdout.split(BETWEEN).map((text) => text.trim());
    expect(begun).toMatch(/^\{"secret":"[A-Z2-7]{32}","otpauth_uri":"otpauth:.*"\}$/);
    expect(codes).toMatch(/^\{"recovery_codes":\["[A-Z2-7-]{19}"(?:,"[A-Z2-7-]{19}"){9}\]\}$/);
    expect(JSON.parse(required ?? '')).toMatchObject({
      code: 'second_factor_required',
      expires_in: 300,
      factors: ['totp', 'recovery_code'],
    });
    expect(pair).toMatch(/^\{"access_token":"eyJ.*","refresh_expires_in":1209600\}$/);
    expect(JSON.parse(left ?? '')).toMatchObject({ totp: {}, recovery_codes_left: 9 });
  });

  (isInstalled('nginx', '-v') ? it : it.skip)('put a gateway in front of a backend', async () => {
    const [gatewayPort, backendPort] = [await freePort(), await freePort()];
    const folder = await makeScratchFolder('gateway-block');
    // nginx gives up root, and must then still find its folder.
    await chmod(dirname(folder), 0o711);
    await chmod(folder, 0o755);
    const { exitCode, stdout, stderr } = await paste('docs/gateways.md: Try it with nginx', (block) =>
      block
        .replace('127.0.0.1:3000', new URL(service.url).host)
        .replaceAll('8081', String(backendPort))
        .replaceAll('127.0.0.1:8080', `127.0.0.1:${gatewayPort}`)
        .replaceAll('/tmp/gateway', folder),
    );
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    const [, answers = ''] = stdout.split(BETWEEN);
    const users = [...answers.matchAll(/"x-user-id": "([^"]*)"/g)].map(([, user]) => user);
    expect(users).toEqual([expect.stringMatching(/^[0-9a-f-]{36}$/), users[0]]);
    expect(codesIn(answers)).toEqual(['access_token_missing', 'insufficient_role', 'access_token_revoked']);
  });

  it(
    "run the operator's commands for accounts",
    async () => {
      for (const { line, exitCode, stdout } of await runLines('docs/operations.md: Accounts')) {
        expect({ line, exitCode, stdout }).toEqual({
          line,
          exitCode: 0,
          stdout: expect.stringContaining('admin@example.com'),
        });
      }
      expect(await database.sql(`select 1 from users where email = 'admin@example.com'`)).toEqual([]);
    },
    COMMANDS_TIMEOUT_MS,
  );

  it(
    "run the operator's commands for signing keys",
    async () => {
      const results = [
        ...(await runLines('docs/operations.md: Signing keys')),
        ...(await runLines('docs/operations.md: Changing AUTH_SECRET')),
      ];
      expect(results.map(({ line, exitCode }) => ({ line, exitCode }))).toEqual(
        ['list', 'plan', 'rotate', 'reencrypt'].map((name) => ({ line: `npm run keys -- ${name}`, exitCode: 0 })),
      );
    },
    COMMANDS_TIMEOUT_MS,
  );
});

function codesIn(text = ''): string[] {
  return [...text.matchAll(/"code":"(\w+)"/g)].map(([, code = '']) => code);
}
