import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { randomUUID } from 'node:crypto';
import { Controller, Get } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import request, { type Response } from 'supertest';
import { AppModule } from '../src/app.module.js';
import { createApp } from '../src/app.setup.js';
import { RequireRecentAuthentication } from '../src/auth/access-tokens/recent-authentication.guard.js';
import { Roles } from '../src/auth/access-tokens/roles.decorator.js';
import { Public } from '../src/platform/common/public.decorator.js';
import { createLogger } from '../src/platform/logging/logger.js';
import { UsersService } from '../src/users/users.service.js';
import { expectProblem } from './support/problem.js';
import { sessionIdOf } from './support/test-client.js';
import { TokenForge } from './support/token-forge.js';
import { useService } from './support/use-service.js';

@Controller('probe')
class ProbeController {
  @Get('plain')
  plain(): string {
    return 'plain';
  }

  @Get('open')
  @Public()
  open(): string {
    return 'open';
  }

  @Get('admin')
  @Roles('admin')
  admin(): string {
    return 'admin';
  }

  @Get('staff')
  @Roles('support', 'admin')
  staff(): string {
    return 'staff';
  }
}

@Controller('recent-probe')
class RecentProbeController {
  @Get()
  @RequireRecentAuthentication()
  recent(): string {
    return 'recent';
  }
}

@Controller('admin-probe')
@Roles('admin')
class AdminProbeController {
  @Get('plain')
  plain(): string {
    return 'plain';
  }

  @Get('support')
  @Roles('support')
  support(): string {
    return 'support';
  }
}

class SharedHandlers {
  @Get('shared')
  shared(): string {
    return 'shared';
  }
}

@Controller('open-heir')
@Public()
class OpenHeirController extends SharedHandlers {}

@Controller('closed-heir')
class ClosedHeirController extends SharedHandlers {}

@Controller('admin-heir')
@Roles('admin')
class AdminHeirController extends SharedHandlers {}

class ProbeModule {}

describe('the guards on routes of another module', () => {
  const { database, service } = useService();
  let app: NestFastifyApplication;
  let url: string;

  beforeAll(async () => {
    const module = {
      module: ProbeModule,
      imports: [AppModule.forRoot(service.config, { url: database.url, directUrl: database.url })],
      controllers: [
        ProbeController,
        AdminProbeController,
        RecentProbeController,
        OpenHeirController,
        ClosedHeirController,
        AdminHeirController,
      ],
    };
    app = await createApp(module, service.config, createLogger({ level: 'silent' }));
    await app.listen(0, '127.0.0.1');
    url = await app.getUrl();
  });

  afterAll(() => app.close());

  async function accessTokenWith(...roles: string[]): Promise<string> {
    const account = await service.client.signUp();
    await service.app.get(UsersService).setRoles(account.id, roles);
    return (await service.client.signIn(account)).access_token;
  }

  async function get(path: string, accessToken?: string): Promise<Response> {
    const call = request(url).get(path);
    return accessToken === undefined ? call : call.set('authorization', `Bearer ${accessToken}`);
  }

  it('the access-token guard requires a token on every route not marked @Public()', async () => {
    expectProblem(await get('/probe/plain'), 'access_token_missing');
    expect((await get('/probe/plain', await accessTokenWith())).status).toBe(200);
    expect((await get('/probe/open')).status).toBe(200);
    // A bad token is no better than none there: nobody reads it.
    expect((await get('/probe/open', 'x')).status).toBe(200);
  });

  it('the roles guard requires one of the roles of a route', async () => {
    expectProblem(await get('/probe/admin'), 'access_token_missing');
    expectProblem(await get('/probe/admin', await accessTokenWith()), 'insufficient_role');
    expectProblem(await get('/probe/admin', await accessTokenWith('admins', 'support')), 'insufficient_role');
    expect((await get('/probe/admin', await accessTokenWith('admin', 'support'))).status).toBe(200);
    expect((await get('/probe/staff', await accessTokenWith('support'))).status).toBe(200);
    expectProblem(await get('/probe/staff', await accessTokenWith('billing')), 'insufficient_role');
  });

  it("a route's own roles replace those of its controller", async () => {
    const [admin, support] = [await accessTokenWith('admin'), await accessTokenWith('support')];
    expect((await get('/admin-probe/plain', admin)).status).toBe(200);
    expectProblem(await get('/admin-probe/plain', support), 'insufficient_role');
    expect((await get('/admin-probe/support', support)).status).toBe(200);
    expectProblem(await get('/admin-probe/support', admin), 'insufficient_role');
  });

  it('the recent-authentication guard asks for a sign-in of the last 300 s, which no refresh replaces', async () => {
    const { pair } = await service.client.signUpAndIn();
    expectProblem(await get('/recent-probe'), 'access_token_missing');
    expect((await get('/recent-probe', pair.access_token)).status).toBe(200);
    await database.sql(`update refresh_token_families set auth_time = now() - interval '290 s' where id = $1`, [
      sessionIdOf(pair),
    ]);
    const refreshed = await service.client.rotate(pair.refresh_token);
    expect((await get('/recent-probe', refreshed.access_token)).status).toBe(200);
    await database.sql(`update refresh_token_families set auth_time = now() - interval '301 s' where id = $1`, [
      sessionIdOf(pair),
    ]);
    const stale = await service.client.rotate(refreshed.refresh_token);
    expectProblem(await get('/recent-probe', stale.access_token), 'insufficient_user_authentication');
  });

  it('the recent-authentication guard refuses a token that does not tell when its user signed in', async () => {
    const { pair } = await service.client.signUpAndIn();
    const forge = await TokenForge.like(pair.access_token, database);
    expect((await get('/recent-probe', forge.withClaims({ jti: randomUUID() }))).status).toBe(200);
    expectProblem(
      await get('/recent-probe', forge.withClaims({ auth_time: undefined })),
      'insufficient_user_authentication',
    );
  });

  it('both guards read the decorators of each controller, where several inherit one handler', async () => {
    expect((await get('/open-heir/shared')).status).toBe(200);
    expectProblem(await get('/closed-heir/shared'), 'access_token_missing');
    expect((await get('/closed-heir/shared', await accessTokenWith())).status).toBe(200);
    expectProblem(await get('/admin-heir/shared', await accessTokenWith()), 'insufficient_role');
    expect((await get('/admin-heir/shared', await accessTokenWith('admin'))).status).toBe(200);
  });
});
