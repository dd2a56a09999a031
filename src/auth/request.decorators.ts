import { isIP } from 'node:net';
import { createParamDecorator, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { noteSession } from '../platform/http/request-session.js';
import type { AuthenticatedRequest, Client, Identity } from './auth.types.js';
import { networksOf } from './client-network.js';

const LONGEST_USER_AGENT_CHARACTERS = 256;

/** Gives the identity that the access-token guard established; undefined where a token is optional and absent. */
export const CurrentIdentity = createParamDecorator(
  (_data: unknown, context: ExecutionContext): Identity | undefined =>
    context.switchToHttp().getRequest<Partial<AuthenticatedRequest>>().user,
);

/** Tells where the request came from. Postgres can store the address, whatever a proxy wrote into its header. */
export const CurrentClient = createParamDecorator((_data: unknown, context: ExecutionContext): Client => {
  const request = context.switchToHttp().getRequest<FastifyRequest>();
  // An IPv6 zone (`fe80::1%eth0`) names an interface of this machine only.
  const [address = ''] = request.ip.split('%', 1);
  return {
    ipAddress: isIP(address) === 0 ? undefined : address,
    networks: networksOf(address),
    hasGone: () => request.raw.socket.destroyed,
    noteSession: (session) => {
      noteSession(request, session);
    },
    userAgent: request.headers['user-agent']?.slice(0, LONGEST_USER_AGENT_CHARACTERS),
  };
});
