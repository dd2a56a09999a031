import { types } from 'node:util';

/** Knows errors of another realm (Jest's, a worker's) by their kind and Fastify's, which are none, by their prototype. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value);
}

/** What a caught value says of itself, for the log. */
export function messageOf(value: unknown): string {
  return isError(value) ? value.message : String(value);
}
