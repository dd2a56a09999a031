import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Controller, Get, Module, Patch, Put } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { type AccessToken, createVerifier, type Fetch, IssuerMismatchError, Verifier } from '@ratchet/verifier';
import * as express from '@ratchet/verifier/express';
import * as fastify from '@ratchet/verifier/fastify';
import {
  AccessTokenGuard,
  AnyRole,
  CurrentAccessToken,
  Public,
  RatchetModule,
  RequireAuthentication,
} from '@ratchet/verifier/nestjs';
import createFastify from 'fastify';
import request, { type Response } from 'supertest';
import type { ProblemCode } from '../src/platform/common/domain.errors.js';
import { UsersService } from '../src/users/users.service.js';
import { eventually } from './support/eventually.js';
import { expectProblem, expectStepUpDemand } from './support/problem.js';
import { RunningCommand, runCommand } from './support/run-command.js';
import { sessionIdOf, type TokenPair } from './support/test-client.js';
import { useService } from './support/use-service.js';

const CHECKOUT = fileURLToPath(new URL('../', import.meta.url));
const OPTIONS = {
  issuer: 'http://localhost:3000',
  audience: 'ratchet',
  revocations: 'follow',
  whenFeedIsStale: 'reject',
} as const;

@Controller('orders')
class OrdersController {
  @Get()
  list(@CurrentAccessToken() { userId }: AccessToken): object {
    return { userId };
  }

  @Patch()
  @AnyRole('owner', 'admin')
  change(@CurrentAccessToken() { userId }: AccessToken): object {
    return { userId };
  }

  @Put()
  @RequireAuthentication({ requireAcr: 'aal2', maxAgeSeconds: 300 })
  pay(@CurrentAccessToken() { userId }: AccessToken): object {
    return { userId };
  }

  @Get('catalogue')
  @Public()
  catalogue(): object {
    return { open: true };
  }
}

class OrdersModule {}
Module({ controllers: [OrdersController] })(OrdersModule);

describe('a backend that verifies tokens with', () => {
  const { service, database } = useService();
  let verifier: Verifier;
  let plain: TokenPair;
  let admin: TokenPair;
  let adminId: string;

  beforeAll(async () => {
    plain = (await service.client.signUpAndIn()).pair;
    const account = await service.client.signUp();
    adminId = account.id;
    await service.app.get(UsersService).setRoles(account.id, ['admin']);
    admin = await service.client.signIn(account);
    verifier = createVerifier({ ...OPTIONS, baseUrl: service.url });
    await verifier.ready();
  });

  afterAll(() => {
    verifier.close();
  });

  async function send(method: 'get' | 'patch' | 'put', url: string, accessToken?: string): Promise<Response> {
    const call = request(url)[method]('/orders');
    return accessToken === undefined ? call : call.set('authorization', `Bearer ${accessToken}`);
  }

  /** What a session that has proved this much, so many seconds ago, gets by its next refresh. */
  async function tokenBy(amr: readonly string[], secondsAgo: number): Promise<string> {
    const { pair } = await service.client.signUpAndIn();
    await database.sql(
      'update refresh_token_families set amr = $2, auth_time = clock_timestamp() - make_interval(secs => $3) where id = $1',
      [sessionIdOf(pair), amr, secondsAgo],
    );
    return (await service.client.rotate(pair.refresh_token)).access_token;
  }

  /** Everybody with a token may GET, admins may PATCH, a second factor of late may PUT; refusals are the service's own. */
  async function expectGuarded(url: string): Promise<void> {
    expect((await send('get', url, admin.access_token)).body).toEqual({ userId: adminId });
    expect((await send('patch', url, admin.access_token)).body).toEqual({ userId: adminId });
    expect((await send('get', url, plain.access_token)).status).toBe(200);
    expectRefusal(await send('get', url), 'access_token_missing');
    expectRefusal(await send('get', url, `${plain.access_token}x`), 'access_token_invalid');
    expectRefusal(await send('patch', url, plain.access_token), 'insufficient_role');
    expect((await send('put', url, await tokenBy(['pwd', 'otp', 'mfa'], 200))).status).toBe(200);
    for (const token of [await tokenBy(['pwd'], 0), await tokenBy(['pop', 'user', 'mfa'], 400)]) {
      expect((await send('get', url, token)).status).toBe(200);
      expectStepUpDemand(withPlainType(await send('put', url, token)), { acr: 'aal2', maxAge: 300 });
    }
    const { pair } = await service.client.signUpAndIn();
    await service.client.logout({ refreshToken: pair.refresh_token });
    await eventually(async () => (await send('get', url, pair.access_token)).status === 401, { withinMs: 2_000 });
    expectRefusal(await send('get', url, pair.access_token), 'access_token_revoked');
  }

  function expectRefusal(response: Response, code: ProblemCode): void {
    expectProblem(withPlainType(response), code);
  }

  /** Nest has Fastify add a charset, which the media type does not know and nobody minds. */
  function withPlainType(response: Response): { status: number; headers: object; body: unknown } {
    const { status, headers, body } = response as { status: number; headers: Record<string, string>; body: unknown };
    const contentType = headers['content-type']?.replace('; charset=utf-8', '');
    return { status, headers: { ...headers, 'content-type': contentType }, body };
  }

  async function listening(server: Server): Promise<string> {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  it('middleware, as Express calls it', async () => {
    const anybody = express.requireAccessToken(verifier);
    const admins = express.requireAccessToken(verifier, { anyRole: ['owner', 'admin'] });
    const steppedUp = express.requireAccessToken(verifier, { requireAcr: 'aal2', maxAgeSeconds: 300 });
    const server = createServer((incoming, outgoing) => {
      (incoming.method === 'GET' ? anybody : incoming.method === 'PUT' ? steppedUp : admins)(incoming, outgoing, () => {
        const { userId } = express.accessTokenOf(incoming);
        outgoing.setHeader('content-type', 'application/json').end(JSON.stringify({ userId }));
      });
    });
    await expectGuarded(await listening(server));
    server.close();
  });

  it('a hook of Fastify', async () => {
    const app = createFastify();
    app.get('/orders', { onRequest: fastify.requireAccessToken(verifier) }, (incoming) => ({
      userId: fastify.accessTokenOf(incoming).userId,
    }));
    const onRequest = fastify.requireAccessToken(verifier, { anyRole: ['owner', 'admin'] });
    const ofLate = fastify.requireAccessToken(verifier, { requireAcr: 'aal2', maxAgeSeconds: 300 });
    app.put('/orders', { onRequest: ofLate }, (incoming) => ({ userId: fastify.accessTokenOf(incoming).userId }));
    app.patch('/orders', { onRequest }, (incoming) => ({ userId: fastify.accessTokenOf(incoming).userId }));
    await expectGuarded(await app.listen({ port: 0, host: '127.0.0.1' }));
    await app.close();
  });

  it('a guard of Nest, which denies where a route says nothing', async () => {
    const app = await NestFactory.create<NestFastifyApplication>(OrdersModule, new FastifyAdapter(), { logger: false });
    app.useGlobalGuards(new AccessTokenGuard(verifier));
    await app.listen(0, '127.0.0.1');
    const url = await app.getUrl();
    await expectGuarded(url);
    expect((await request(url).get('/orders/catalogue')).body).toEqual({ open: true });
    await app.close();
  });

  it('a module of Nest, which is ready before it listens and ends with the application', async () => {
    const asked: AbortSignal[] = [];
    const countingFetch: Fetch = (url, init) => {
      asked.push(init.signal);
      return fetch(url, init);
    };
    const imports = [RatchetModule.forRoot({ ...OPTIONS, baseUrl: service.url, fetch: countingFetch })];
    const app = await NestFactory.create<NestFastifyApplication>(
      { module: OrdersModule, imports },
      new FastifyAdapter(),
      { logger: false },
    );
    await app.listen(0, '127.0.0.1');
    expect(app.get(Verifier).state()).toMatchObject({ keys: { isUsable: true }, revocations: { isStale: false } });
    await expectGuarded(await app.getUrl());
    // Between two polls nothing is open.
    await eventually(() => Promise.resolve(asked.some(({ aborted }) => !aborted)), { withinMs: 2_000 });
    await app.close();
    expect(asked.filter(({ aborted }) => !aborted)).toEqual([]);
  });

  it('a module of Nest, whose application does not start with the wrong issuer', async () => {
    const options = { ...OPTIONS, issuer: 'https://auth.example.com', baseUrl: service.url };
    const imports = [RatchetModule.forRootAsync({ useFactory: () => options })];
    const app = await NestFactory.create({ module: OrdersModule, imports }, new FastifyAdapter(), {
      logger: false,
      abortOnError: false,
    });
    await expect(app.init()).rejects.toThrow(IssuerMismatchError);
  });

  it('a module of Nest, whose tests put their own verifier in the place of the real one, which asks nothing then', async () => {
    const imports = [RatchetModule.forRoot({ ...OPTIONS, baseUrl: 'http://127.0.0.1:1' }), OrdersModule];
    const fake: Pick<Verifier, 'verifyRequest'> = { verifyRequest: () => verifier.verify(plain.access_token) };
    const testing = await Test.createTestingModule({ imports }).overrideProvider(Verifier).useValue(fake).compile();
    const app = testing.createNestApplication<NestFastifyApplication>(new FastifyAdapter());
    await app.listen(0, '127.0.0.1');
    expect((await send('get', await app.getUrl())).status).toBe(200);
    expectRefusal(await send('patch', await app.getUrl()), 'insufficient_role');
    await app.close();
  });

  describe('the published package', () => {
    const started: RunningCommand[] = [];

    afterEach(async () => {
      for (const command of started.splice(0)) {
        command.signalGroup('SIGKILL');
        await command.end();
      }
    });

    it('holds what is built, a README and the licence, and nothing else', async () => {
      const { stdout } = await runCommand('npm', ['pack', '--dry-run', '--json', '-w', '@ratchet/verifier'], {
        workingDirectory: CHECKOUT,
        environment: { npm_config_update_notifier: 'false' },
      });
      const packed = JSON.parse(stdout) as unknown;
      const [{ files }] = (Array.isArray(packed) ? packed : Object.values(packed as object)) as [
        { files: { path: string }[] },
      ];
      const others = files.map(({ path }) => path).filter((path) => !/^dist\/[\w.-]+\.(js|d\.ts)$/.test(path));
      expect(others.sort()).toEqual(['LICENSE', 'README.md', 'package.json']);
      expect(files.filter(({ path }) => /spec|testing/.test(path))).toEqual([]);
    });

    it('is installed by one line, without scripts and dependencies, and loads where require() takes no ES module', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'ratchet-install-'));
      await writeFile(join(folder, 'package.json'), '{ "private": true }');
      const line = 'npm install --ignore-scripts --offline "$(npm --prefix "$CHECKOUT" run -s pack:verifier)"';
      const installed = await runCommand('sh', ['-c', line], {
        workingDirectory: folder,
        environment: { CHECKOUT, npm_config_update_notifier: 'false' },
      });
      expect(installed).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('added 1 package') });
      // As Jest does by default, with Nest 11 in the place of the stand-in.
      const script = `
        const Module = require('node:module');
        const load = Module._load;
        const nest = { Module: () => () => {}, SetMetadata() {}, createParamDecorator() {}, Reflector: class {} };
        Module._load = (id, ...others) => (id.startsWith('@nestjs/') ? nest : load(id, ...others));
        const required = ['', '/express', '/fastify', '/nestjs'].map((name) => require('@ratchet/verifier' + name));
        import('@ratchet/verifier').then((imported) => {
          console.log(required.every(Boolean), imported.Verifier === required[0].Verifier);
        });`;
      expect(
        await runCommand('node', ['--no-experimental-require-module', '-e', script], { workingDirectory: folder }),
      ).toMatchObject({ exitCode: 0, stdout: 'true true\n' });
      await rm(folder, { recursive: true });
    });

    it('lets the sample backend tell who asks, by the token or by the word of the gateway', async () => {
      const command = new RunningCommand('node', ['examples/orders/server.js'], {
        workingDirectory: CHECKOUT,
        environment: { AUTH_URL: service.url, JWT_ISSUER: OPTIONS.issuer, PORT: '0', INTERNAL_PORT: '0' },
      });
      started.push(command);
      const [, publicPort] = await command.said(/"listener":"public","port":(\d+)/);
      const [, internalPort] = await command.said(/"listener":"internal","port":(\d+)/);
      const identity = { user_id: adminId, roles: ['admin'], session_id: sessionIdOf(admin) };

      const publicUrl = `http://127.0.0.1:${publicPort}`;
      const byToken = await send('get', publicUrl, admin.access_token);
      expect(byToken.body).toMatchObject({ identity: { ...identity, verified_by: 'token' } });
      const spoofed = await request(publicUrl).get('/orders').set('x-user-id', adminId);
      expectProblem(spoofed, 'access_token_missing');

      const internalUrl = `http://127.0.0.1:${internalPort}`;
      const byGateway = await request(internalUrl)
        .get('/orders')
        .set({ 'x-user-id': adminId, 'x-user-roles': 'admin', 'x-session-id': sessionIdOf(admin) });
      expect(byGateway.body).toMatchObject({ identity: { ...identity, verified_by: 'gateway' } });
      expect((await send('get', internalUrl, admin.access_token)).status).toBe(403);

      command.signal('SIGTERM');
      expect((await command.end()).exitCode).toBe(0);
    });

    it('works as docs/verifying-tokens.md pastes it', async () => {
      const document = await readFile(join(CHECKOUT, 'docs/verifying-tokens.md'), 'utf8');
      const [, script = ''] = /^```js\n([^]*?)^```$/m.exec(document) ?? [];
      const command = new RunningCommand('node', ['--input-type=module', '-'], {
        workingDirectory: CHECKOUT,
        input: script
          .replace(/issuer: '[^']*'/, `issuer: '${OPTIONS.issuer}'`)
          .replace(/baseUrl: '[^']*'/, `baseUrl: '${service.url}'`)
          .replace('listen(4000)', `listen(0, '127.0.0.1', function () { console.log(this.address().port); })`),
      });
      started.push(command);
      const [, port] = await command.said(/^(\d+)$/m);
      const response = await send('get', `http://127.0.0.1:${port}`, admin.access_token);
      expect(response.text).toContain(adminId);
      expectProblem(await send('get', `http://127.0.0.1:${port}`), 'access_token_missing');
    });
  });
});
