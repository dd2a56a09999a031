import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { DEFAULT_HTTP_LIMITS } from '@ratchet/server/internal';
import { type NamespaceAnswer, TEST_HEADER } from '../contract.js';
import type { Namespace } from './namespace.mjs';
import { MAIN, type Namespaces } from './namespaces.mjs';
import { describeRoutes } from './openapi.mjs';
import { TestProblem, writeJson, writeProblem } from './problems.mjs';
import { type Answer, type Route, ROUTES, type RunnerFacts } from './routes.mjs';

/** A thousand users with every member. */
const BODY_LIMIT_BYTES = 4 * 1024 * 1024;

/** Longer than test suites leave a connection idle, which they would otherwise send into while it is closed. */
const KEEP_ALIVE_MS = 300_000;

const NAME = /^[a-z0-9-]{1,40}$/;

const OPENAPI_PATH = '/test/openapi.json';

export interface FrontOptions {
  /** Where it listens; other machines reach it only if this is not a loopback address. */
  readonly host: string;
  readonly port: number;
  /** Where the issuers begin, without a slash at the end; by default where it listens. */
  readonly issuerBase: string | undefined;
  readonly facts: RunnerFacts;
}

/** The one port of the runner: leads requests to the namespaces, and answers those to `/test`. */
export class Front {
  private namespaces: Namespaces | undefined;

  private constructor(
    private readonly server: Server,
    private readonly options: FrontOptions,
    /** Where this machine reaches it. */
    readonly url: string,
  ) {
    const receive = (request: IncomingMessage, response: ServerResponse): void => {
      response.setHeader(TEST_HEADER, '1');
      this.answer(request, response).catch((error: unknown) => {
        refuse(response, error);
      });
    };
    server.on('request', receive);
    // The service takes over what Node would answer by itself.
    server.on('checkExpectation', receive);
    server.on('clientError', (_error, socket) => {
      if (socket.writable) {
        const head = ['HTTP/1.1 400 Bad Request', `${TEST_HEADER}: 1`, 'connection: close', 'content-length: 0'];
        socket.end(`${head.join('\r\n')}\r\n\r\n`);
      } else {
        socket.destroy();
      }
    });
  }

  /** Listens; requests are refused until there are namespaces. */
  static async listen(options: FrontOptions): Promise<Front> {
    const { maxHeaderBytes, maxHeaderCount } = DEFAULT_HTTP_LIMITS;
    const server = createServer({
      requireHostHeader: false,
      maxHeaderSize: maxHeaderBytes,
      keepAliveTimeout: KEEP_ALIVE_MS,
    });
    server.maxHeadersCount = maxHeaderCount;
    server.listen(options.port, options.host);
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : options.port;
    const isEveryAddress = ['0.0.0.0', '::'].includes(options.host);
    const host = isEveryAddress ? '127.0.0.1' : isIP(options.host) === 6 ? `[${options.host}]` : options.host;
    return new Front(server, options, `http://${host}:${port}`);
  }

  issuerOf(name: string): string {
    return `${this.options.issuerBase ?? this.url}${pathOf(name)}`;
  }

  serve(namespaces: Namespaces): void {
    this.namespaces = namespaces;
  }

  /** Cuts what is still being answered. */
  async close(): Promise<void> {
    const closed = once(this.server, 'close');
    this.server.close();
    this.server.closeAllConnections();
    await closed;
  }

  private async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { url = '' } = request;
    const [path = ''] = url.split(/[?#]/, 1);
    if (this.namespaces === undefined) {
      throw new TestProblem(503, 'starting', 'The runner is starting; wait for its line on standard output.', {
        headers: { 'retry-after': '1' },
      });
    }
    if (path === '/test' || path.startsWith('/test/')) {
      await this.answerTest(this.namespaces, request, response, path);
      return;
    }
    const [, name, rest = ''] = /^\/ns\/([^/?#]*)(.*)$/s.exec(url) ?? [];
    if (name !== undefined) {
      const namespace = this.namespaces.get(name);
      // The service must not see the prefix, which a gateway would take away.
      request.url = rest.startsWith('/') ? rest : `/${rest}`;
      await namespace.serve(request, response, path.slice(`/ns/${name}`.length) || '/');
      return;
    }
    const [, issuerOf] = /^\/\.well-known\/[^/]+\/ns\/([^/]+)$/.exec(path) ?? [];
    await this.namespaces.get(issuerOf ?? MAIN).serve(request, response, path);
  }

  private async answerTest(
    namespaces: Namespaces,
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
  ): Promise<void> {
    const { host } = request.headers;
    if (!this.isKnownHost(host)) {
      throw new TestProblem(
        403,
        'host_unknown',
        'The Host of the request is not one of this runner. Use localhost, an address, or the host of RATCHET_TEST_ISSUER.',
      );
    }
    if (request.headers[TEST_HEADER] !== '1') {
      throw new TestProblem(
        403,
        'test_header_missing',
        'Send the header X-Ratchet-Test: 1 with every request to /test.',
      );
    }
    if (path === OPENAPI_PATH && request.method === 'GET') {
      writeJson(response, 200, describeRoutes(ROUTES, this.options.facts.version));
      return;
    }
    const { route, parameters } = findRoute(request.method ?? '', path);
    const { searchParams } = new URL(request.url ?? '', 'http://runner');
    const answer: Answer = await route.run({
      runner: this.options.facts,
      namespaces,
      parameters,
      query: readQuery(route, searchParams),
      body: await readJson(request),
      describe: (namespace) => this.describe(namespace, host),
    });
    writeJson(response, answer.status, answer.body);
  }

  private describe({ name, config }: Namespace, host: string | undefined): NamespaceAnswer {
    const url = `${host === undefined ? this.url : `http://${host}`}${pathOf(name)}`;
    return {
      name,
      url,
      issuer: config.accessTokens.issuer,
      audience: config.accessTokens.audience,
      jwks_uri: `${url}/.well-known/jwks.json`,
    };
  }

  /**
   * A page in a browser whose name was made to lead here (DNS rebinding) sends that name. An attacker has no address for a
   * name, and no name without a dot, which containers have.
   */
  private isKnownHost(host: string | undefined): boolean {
    if (host === undefined || !URL.canParse(`http://${host}`)) {
      return false;
    }
    const { hostname } = new URL(`http://${host}`);
    const { issuerBase } = this.options;
    return (
      isIP(hostname.replace(/^\[|\]$/g, '')) !== 0 ||
      !hostname.includes('.') ||
      /\.localhost$|^host\.docker\.internal$/.test(hostname) ||
      (issuerBase !== undefined && new URL(issuerBase).hostname === hostname)
    );
  }
}

function pathOf(name: string): string {
  return name === MAIN ? '' : `/ns/${name}`;
}

/** @throws TestProblem */
function findRoute(
  method: string,
  path: string,
): { readonly route: Route; readonly parameters: Readonly<Record<string, string>> } {
  const segments = path.split('/');
  const found = ROUTES.flatMap((route) => {
    const parameters = match(route.path.split('/'), segments);
    return parameters === undefined ? [] : [{ route, parameters }];
  });
  // `health` is no name of a namespace, and the first in the table.
  const ofPath = found[0]?.route.path === '/test/health' ? found.slice(0, 1) : found;
  const [only] = ofPath.filter(({ route }) => route.method === method);
  if (only !== undefined) {
    const { ns } = only.parameters;
    if (ns !== undefined && !NAME.test(ns)) {
      throw new TestProblem(400, 'validation_failed', 'The name of a namespace is 1 to 40 of a-z, 0-9 and "-".');
    }
    return only;
  }
  if (ofPath.length === 0) {
    throw new TestProblem(404, 'not_found', `There is no such route; GET ${OPENAPI_PATH} describes all of them.`);
  }
  const methods = ofPath.map(({ route }) => route.method).join(', ');
  throw new TestProblem(405, 'method_not_allowed', `This route has the methods ${methods}.`, {
    headers: { allow: methods },
  });
}

function match(pattern: readonly string[], segments: readonly string[]): Record<string, string> | undefined {
  if (pattern.length !== segments.length) {
    return undefined;
  }
  const parameters: Record<string, string> = {};
  for (const [index, expected] of pattern.entries()) {
    const segment = segments[index] ?? '';
    if (expected.startsWith('{')) {
      parameters[expected.slice(1, -1)] = segment;
    } else if (expected !== segment) {
      return undefined;
    }
  }
  return parameters;
}

/** @throws TestProblem for what the route does not have */
function readQuery({ query = {} }: Route, given: URLSearchParams): URLSearchParams {
  for (const [name, value] of given) {
    const schema = query[name];
    if (schema === undefined || (schema.pattern !== undefined && !new RegExp(schema.pattern).test(value))) {
      const known = Object.keys(query).join(', ') || 'none';
      throw new TestProblem(
        400,
        'validation_failed',
        `The parameter ${name} is not as documented; the route has ${known}, and GET ${OPENAPI_PATH} describes them.`,
      );
    }
  }
  return given;
}

/** @throws TestProblem */
async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > BODY_LIMIT_BYTES) {
      throw new TestProblem(413, 'payload_too_large', 'The body is larger than 4 MiB; send it in parts.', {
        headers: { connection: 'close' },
      });
    }
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  try {
    // No body stands for one without members.
    return text.trim() === '' ? {} : (JSON.parse(text) as unknown);
  } catch {
    throw new TestProblem(400, 'malformed_request', 'The body is not JSON.');
  }
}

function refuse(response: ServerResponse, error: unknown): void {
  if (error instanceof TestProblem) {
    writeProblem(response, error);
    return;
  }
  process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  const message = error instanceof Error ? error.message : String(error);
  writeProblem(response, new TestProblem(500, 'internal_error', `The runner has failed: ${message}`));
}
