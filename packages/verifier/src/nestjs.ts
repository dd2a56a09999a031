import {
  type CanActivate,
  createParamDecorator,
  type CustomDecorator,
  type ExecutionContext,
  HttpException,
  SetMetadata,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { NodeRequest } from './bearer-token.js';
import { VerificationError } from './errors.js';
import { toProblem } from './problem.js';
import { authorizeRequest, tokenOf } from './request-tokens.js';
import type { Verifier } from './verifier.js';

const PUBLIC = '@ratchet/verifier:public';
const ANY_ROLE = '@ratchet/verifier:any-role';

/** Opens a route, or all of a controller, to requests without a token. */
export const Public = (): CustomDecorator => SetMetadata(PUBLIC, true);

/** Requires one of the roles. At a route it replaces what the controller requires. */
export const AnyRole = (...roles: readonly string[]): CustomDecorator => SetMetadata(ANY_ROLE, roles);

/** Passes the verified token to a handler's parameter. */
export const CurrentAccessToken = createParamDecorator((_data: unknown, context: ExecutionContext) =>
  tokenOf(nodeRequestOf(context)),
);

/**
 * Requires a token on every route that is not `@Public()`, on Express and on Fastify: `app.useGlobalGuards(new
 * AccessTokenGuard(verifier))`, or as the value of an `APP_GUARD`.
 *
 * @throws HttpException with the problem as its body; the guard sets media type and challenge on the response
 */
export class AccessTokenGuard implements CanActivate {
  private readonly reflector = new Reflector();

  constructor(private readonly verifier: Verifier) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const targets = [context.getHandler(), context.getClass()];
    if (this.reflector.getAllAndOverride<boolean | undefined>(PUBLIC, targets) === true) {
      return true;
    }
    const anyRole = this.reflector.getAllAndOverride<readonly string[] | undefined>(ANY_ROLE, targets);
    try {
      await authorizeRequest(this.verifier, nodeRequestOf(context), anyRole === undefined ? {} : { anyRole });
      return true;
    } catch (error) {
      throw error instanceof VerificationError ? refuse(context, error) : error;
    }
  }
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
