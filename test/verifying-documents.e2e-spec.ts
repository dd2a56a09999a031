import { afterAll, describe, expect, it } from 'vitest';
import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DEBIAN_PYTHON, hasPythonModules } from './support/debian-python.js';
import { eventually } from './support/eventually.js';
import { type Behaviour, FlakyFront } from './support/flaky-front.js';
import { freePort } from './support/free-port.js';
import { makeScratchFolder } from './support/gateway-process.js';
import { OWN_KEYS, PEM } from './support/hostile-keys.js';
import { RunningCommand } from './support/run-command.js';
import { sendRaw } from './support/raw-request.js';
import type { TokenPair } from './support/test-client.js';
import { hmac, TokenForge } from './support/token-forge.js';
import { useService } from './support/use-service.js';

const CHECKOUT = fileURLToPath(new URL('../', import.meta.url));

/** What the blocks say: the issuer of `npm start`, and below it the address at which they reach the service. */
const ISSUER = 'http://127.0.0.1:3000';
const BASE = ISSUER;
const PORT = 4000;

/** Several programs start at the same time, beside three other spec files. */
const LONGEST_START_MS = 40_000;
const LONGEST_NEWS_MS = 10_000;

/** "Within a second", on a machine that does other things as well. */
const LONGEST_LOGOUT_MS = 2_000;

interface Program {
  /** Document and heading of its block. */
  readonly document: string;
  readonly heading: string;
  readonly file: string;
  readonly command: readonly [string, ...string[]];
  /** Files of the checkout that the document says to copy beside it. */
  readonly beside: readonly string[];
  /** What to replace so that news is too old after a second; one program for each follower of the feed. */
  readonly impatient?: readonly [block: string, replacement: string];
  /** Says so when a program or a package is missing. */
  readonly isRunnable: () => boolean;
}

/** What a program answers to a token, with the headers that concern a client. */
type Ask = (token?: string) => Promise<{ readonly status: number }>;

const inJavaScript = {
  document: 'docs/verifying/javascript.md',
  file: 'server.mjs',
  command: ['node', 'server.mjs'],
  isRunnable: () => true,
} as const;
const inPython = {
  document: 'docs/verifying/python.md',
  file: 'server.py',
  beside: ['examples/verifiers/python/ratchet_verifier.py'],
} as const;
const FOLLOWER = ['examples/verifiers/javascript/ended-sessions.mjs'];

const PROGRAMS: readonly Program[] = [
  { ...inJavaScript, heading: '`@ratchet/verifier`', beside: [] },
  {
    ...inJavaScript,
    heading: 'jose',
    beside: FOLLOWER,
    impatient: ['EndedSessions(BASE', 'EndedSessions(BASE, { maxStalenessSeconds: 1 }'],
  },
  { ...inJavaScript, heading: 'Express with passport-jwt and jwks-rsa', beside: FOLLOWER },
  { ...inJavaScript, heading: 'Express with express-jwt and jwks-rsa', beside: FOLLOWER },
  {
    ...inPython,
    heading: 'FastAPI',
    command: [DEBIAN_PYTHON, '-m', 'uvicorn', '--port', '4000', 'server:app'],
    isRunnable: () => hasPythonModules('jwt', 'fastapi', 'uvicorn'),
  },
  {
    ...inPython,
    heading: 'Flask',
    impatient: ['base_url=', 'max_staleness=1, base_url='],
    command: [DEBIAN_PYTHON, 'server.py'],
    isRunnable: () => hasPythonModules('jwt', 'flask'),
  },
];

/** What every block must refuse. Each token is signed by the right key unless it says otherwise. */
const HOSTILE: readonly (readonly [kind: string, make: (forge: TokenForge) => string])[] = [
  ['another audience', (forge) => forge.withClaims({ aud: 'another' })],
  ['no audience', (forge) => forge.withClaims({ aud: undefined })],
  ['another issuer', (forge) => forge.withClaims({ iss: 'http://localhost:3001' })],
  ['no issuer', (forge) => forge.withClaims({ iss: undefined })],
  ['typ JWT', (forge) => forge.withHeader({ typ: 'JWT' })],
  ['no typ', (forge) => forge.withHeader({ typ: undefined })],
  ['an expiry of two seconds ago', (forge) => forge.withClaims({ exp: nowSeconds() - 2 })],
  ['no expiry', (forge) => forge.withClaims({ exp: undefined })],
  ['no session', (forge) => forge.withClaims({ sid: undefined })],
  ['no subject', (forge) => forge.withClaims({ sub: undefined })],
  ['alg none', (forge) => forge.withHeader({ alg: 'none' }, () => Buffer.alloc(0))],
  ['HS256 under the PEM of the public key', (forge) => forge.withHeader({ alg: 'HS256' }, hmac(PEM(forge.publicKey)))],
  ['a key of its own under the genuine key id', (forge) => forge.withHeader({}, OWN_KEYS['ES256']?.signer)],
  ['roles that were not signed', (forge) => forge.withSegments({ payload: withAdmin(forge) })],
  ['a text that is no token', () => 'x'],
  ['a header that is no JSON', (forge) => forge.withHeaderText('{')],
  ['an unknown key id', (forge) => forge.withHeader({ kid: 'gW7Qy_g6qhN-5mfTI1ATFEoB90N22I8GORUDpAc1nBc' })],
];

function nowSeconds(): number {
  return Math.floor(Date.now() / 1_000);
}

function withAdmin(forge: TokenForge): string {
  return Buffer.from(JSON.stringify({ ...forge.claims, roles: ['admin'] })).toString('base64url');
}

/** The first block under a heading, in the language of the program. */
async function blockOf({ document, heading }: Program): Promise<string> {
  const markdown = await readFile(join(CHECKOUT, document), 'utf8');
  const section = markdown.split(/^#+ (?=.*$)/m).find((each) => each.split('\n', 1)[0] === heading) ?? '';
  const [, block = ''] = /^```(?!console)\w+\n([^]*?)^```$/m.exec(section) ?? [];
  expect(block.split(BASE)).toHaveLength(3);
  return block;
}

describe('the programs of the documents on verifying', () => {
  const { database, service } = useService({ JWT_ISSUER: ISSUER, JWT_AUDIENCE: 'ratchet' });
  const cleanups: (() => Promise<unknown>)[] = [];

  afterAll(async () => {
    await Promise.all(cleanups.map((cleanup) => cleanup()));
  });

  /** The block as it stands, in an empty folder, with the addresses of this test. */
  async function start(
    program: Program,
    behaviour: Behaviour,
    change: readonly [string, string] = ['', ''],
  ): Promise<{ front: FlakyFront; ask: Ask }> {
    const front = new FlakyFront(() => service.url);
    await front.listen();
    front.behave(behaviour);
    cleanups.push(() => front.close());
    const folder = await makeScratchFolder('verifying');
    await symlink(join(CHECKOUT, 'node_modules'), join(folder, 'node_modules'));
    const port = await freePort();
    const block = (await blockOf(program))
      .replace(new RegExp(`(?<=${ISSUER}[^]*)${BASE}`), front.url)
      .replace(String(PORT), String(port))
      .replace(...change);
    await writeFile(join(folder, program.file), block);
    for (const path of program.beside) {
      await cp(join(CHECKOUT, path), join(folder, path.split('/').at(-1) ?? ''));
    }
    const [command, ...args] = program.command.map((word) => word.replace(String(PORT), String(port)));
    const running = new RunningCommand(command ?? '', args, { workingDirectory: folder });
    cleanups.push(() => {
      running.signalGroup('SIGKILL');
      return running.end();
    });
    const ask: Ask = async (token) => {
      const headers = token === undefined ? [] : [['authorization', `Bearer ${token}`] as const];
      const answer = await sendRaw(`http://127.0.0.1:${port}`, { path: '/', headers, hasOwnConnection: true });
      return answer.status === 200
        ? { status: 200, body: JSON.parse(answer.text) as unknown }
        : {
            status: answer.status,
            retryAfter: answer.headers['retry-after'],
            challenge: answer.headers['www-authenticate'],
          };
    };
    return { front, ask };
  }

  describe.each(PROGRAMS)('$document, $heading', (program) => {
    const test = program.isRunnable() ? it.concurrent : it.skip;
    const unavailable = { status: 503, retryAfter: expect.stringMatching(/^\d+$/) };
    const refused = { status: 401, challenge: expect.stringMatching(/^Bearer/) };

    test('lets good tokens pass, and refuses bad ones and those of ended sessions with 401', async () => {
      const { pair, forge, sub } = await signIn();
      const { front, ask } = await start(program, { keys: 'away', feed: 'prompt' });
      await becomes(503, ask, pair, LONGEST_START_MS);
      await eventually(() => front.feedAnswers >= 2, { withinMs: LONGEST_NEWS_MS });
      expect(await ask(pair.access_token)).toEqual(unavailable);

      front.behave({});
      await becomes(200, ask, pair);
      for (const [claims, roles] of [
        [{}, []],
        [{ roles: undefined, scope: undefined }, []],
        [{ roles: ['admin'], scope: 'admin' }, ['admin']],
      ] as const) {
        expect(await ask(forge.withClaims(claims))).toEqual({ status: 200, body: { sub, roles } });
      }

      const answers = [{ kind: 'no token', ...(await ask()) }];
      for (const [kind, make] of HOSTILE) {
        answers.push({ kind, ...(await ask(make(forge))) });
      }
      expect(answers).toEqual(['no token', ...HOSTILE.map(([kind]) => kind)].map((kind) => ({ kind, ...refused })));

      await service.client.logout({ accessToken: pair.access_token });
      await becomes(401, ask, pair, LONGEST_LOGOUT_MS);
      expect(await ask(pair.access_token)).toEqual(refused);
    });

    test('answers 503 while the news of ended sessions is old or does not say how old it is', async () => {
      const { pair } = await signIn();
      const { front, ask } = await start(program, { feed: 'odd' });
      await becomes(503, ask, pair, LONGEST_START_MS);
      for (const feed of ['odd', 'old'] as const) {
        front.behave({ feed });
        await eventually(() => front.feedAnswers >= 2, { withinMs: LONGEST_NEWS_MS });
        expect({ feed, ...(await ask(pair.access_token)) }).toEqual({ feed, ...unavailable });
      }
      front.behave({});
      await becomes(200, ask, pair);
    });

    const { impatient } = program;
    if (impatient !== undefined) {
      test('answers 503 while the service is away, and then knows who has logged out', async () => {
        const [{ pair }, leaving] = [await signIn(), await signIn()];
        const { front, ask } = await start(program, { feed: 'prompt' }, impatient);
        await becomes(200, ask, pair, LONGEST_START_MS);
        await becomes(200, ask, leaving.pair);
        front.behave({ keys: 'away', feed: 'away' });
        await service.client.logout({ accessToken: leaving.pair.access_token });
        await becomes(503, ask, pair);
        front.behave({ feed: 'prompt' });
        await becomes(200, ask, pair);
        expect(await ask(leaving.pair.access_token)).toEqual(refused);
      });
    }
  });

  async function signIn(): Promise<{ pair: TokenPair; forge: TokenForge; sub: unknown }> {
    const { pair } = await service.client.signUpAndIn();
    const forge = await TokenForge.like(pair.access_token, database);
    return { pair, forge, sub: forge.claims['sub'] };
  }
});

async function becomes(status: number, ask: Ask, pair: TokenPair, withinMs = LONGEST_NEWS_MS): Promise<void> {
  await eventually(async () => (await ask(pair.access_token)).status === status, { withinMs });
}
