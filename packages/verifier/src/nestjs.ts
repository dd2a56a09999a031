import {
  type CanActivate,
  createParamDecorator,
  type CustomDecorator,
  type DynamicModule,
  type ExecutionContext,
  type FactoryProvider,
  HttpException,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type Provider,
  SetMetadata,
} from '@nestjs/common';
import { APP_GUARD, Reflector } from '@nestjs/core';
import { type AuthenticationDemand, requireReadable } from './authentication-demand.js';
import type { NodeRequest } from './bearer-token.js';
import { VerificationError } from './errors.js';
import { toProblem } from './problem.js';
import type { VerifierOptions } from './options.js';
import { authorizeRequest, type RequestVerifier, tokenOf } from './request-tokens.js';
import { createVerifier, Verifier } from './verifier.js';

const PUBLIC = '@ratchet/verifier:public';
const ANY_ROLE = '@ratchet/verifier:any-role';
const AUTHENTICATION = '@ratchet/verifier:authentication';

/** Opens a route, or all of a controller, to requests without a token. */
export const Public = (): CustomDecorator => SetMetadata(PUBLIC, true);

/** Requires one of the roles. At a route it replaces what the controller requires. */
export const AnyRole = (...roles: readonly string[]): CustomDecorator => SetMetadata(ANY_ROLE, roles);

/**
 * Requires how, and how lately, the user signed in. At a route it replaces what the controller requires.
 *
 * @throws TypeError for a demand that no token could meet
 */
export function RequireAuthentication(demand: AuthenticationDemand): CustomDecorator {
  requireReadable(demand);
  return SetMetadata(AUTHENTICATION, demand);
}

/** Passes the verified token to a handler's parameter. */
export const CurrentAccessToken = createParamDecorator((_data: unknown, context: ExecutionContext) =>
  tokenOf(nodeRequestOf(context)),
);

/**
 * Requires a token on every route that is not `@Public()`, on Express and on Fastify. `RatchetModule` installs it.
 *
 * @throws HttpException with the problem as its body; the guard sets media type and challenge on the response
 */
export class AccessTokenGuard implements CanActivate {
  private readonly reflector = new Reflector();

  constructor(private readonly verifier: RequestVerifier) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    if (this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC, targets) === true) {
      return true;
    }
    const anyRole = this.reflector.getAllAndOverride<readonly string[] | undefined>(ANY_ROLE, targets);
    const demand = this.reflector.getAllAndOverride<AuthenticationDemand | undefined>(AUTHENTICATION, targets);
    try {
      const requirement = { ...demand, ...(anyRole !== undefined && { anyRole }) };
      await authorizeRequest(this.verifier, nodeRequestOf(context), requirement);
      return true;
    } catch (error) {
      throw error instanceof VerificationError ? refuse(context, error) : error;
    }
  }
}

export type RatchetModuleOptions = VerifierOptions & {
  /** How long a start waits for the keys and the ended sessions before it fails; default 30. */
  readonly readyWithinSeconds?: number;
};

/** What `forRootAsync` takes, as other Nest modules do. */
export interface RatchetModuleAsyncOptions {
  readonly imports?: DynamicModule['imports'];
  readonly inject?: FactoryProvider['inject'];
  readonly useFactory: (...injected: never[]) => RatchetModuleOptions | Promise<RatchetModuleOptions>;
}

const OPTIONS = Symbol('@ratchet/verifier options');

/** Makes the verifier, waits for it before the application listens, and closes it after the last request. */
class VerifierLife implements OnApplicationBootstrap, OnApplicationShutdown {
  private verifier: Verifier | undefined;

  constructor(private readonly options: RatchetModuleOptions) {}

  /** Is not called where a test provides another `Verifier`, so that nothing is asked then. */
  begin(): Verifier {
    this.verifier = createVerifier(this.options);
    return this.verifier;
  }

  async onApplicationBootstrap(): Promise<void> {
    const { readyWithinSeconds } = this.options;
    try {
      await this.verifier?.ready(readyWithinSeconds === undefined ? {} : { withinSeconds: readyWithinSeconds });
    } catch (error) {
      // Nest does not call the other hooks of an application that has not started.
      this.verifier?.close();
      throw error;
    }
  }

  onApplicationShutdown(): void {
    this.verifier?.close();
  }
}

/**
 * Everything a Nest application needs: `imports: [RatchetModule.forRoot({ … })]` guards every route that is not
 * `@Public()`. The application listens when keys and ended sessions are loaded, and `app.close()` ends the verifier.
 * `Verifier` can be injected everywhere, for its `state()`, and replaced in tests: `overrideProvider(Verifier)`.
 */
export class RatchetModule {
  /** @throws TypeError for invalid options, when the application is created */
  static forRoot(options: RatchetModuleOptions): DynamicModule {
    return moduleWith({ provide: OPTIONS, useValue: options });
  }

  /** Takes the options from a factory, for an application that injects its configuration. */
  static forRootAsync({ imports = [], inject = [], useFactory }: RatchetModuleAsyncOptions): DynamicModule {
    return { ...moduleWith({ provide: OPTIONS, inject: [...inject], useFactory } as Provider), imports };
  }
}

// Without decorators, so that no build option of the package's decides about Nest's metadata.
Module({})(RatchetModule);

function moduleWith(options: Provider): DynamicModule {
  return {
    module: RatchetModule,
    global: true,
    providers: [
      options,
      {
        provide: VerifierLife,
        inject: [OPTIONS],
        useFactory: (given: RatchetModuleOptions) => new VerifierLife(given),
      },
      { provide: Verifier, inject: [VerifierLife], useFactory: (life: VerifierLife) => life.begin() },
      {
        provide: APP_GUARD,
        inject: [Verifier],
        useFactory: (verifier: RequestVerifier) => new AccessTokenGuard(verifier),
      },
    ],
    exports: [Verifier],
  };
}

function refuse(context: ExecutionContext, error: VerificationError): HttpException {
  const { status, headers, body } = toProblem(error);
  const response = context.switchToHttp().getResponse<{ header(name: string, value: string): unknown }>();
  for (const [name, value] of Object.entries(headers)) {
    response.header(name, value);
  }
  return new HttpException({ ...body }, status, { cause: error });
}

/** Fastify wraps it, Express does not. */
function nodeRequestOf(context: ExecutionContext): NodeRequest {
  const request = context.switchToHttp().getRequest<NodeRequest | { readonly raw: NodeRequest }>();
  return 'raw' in request ? request.raw : request;
}
