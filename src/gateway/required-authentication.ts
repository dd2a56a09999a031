import { ACR_CLASSES, type Acr } from '../auth/acr.types.js';
import type { AuthenticationDemand } from '../auth/auth.errors.js';

/** About 30 years, which a token that does not tell its `auth_time` fails too. */
const SECONDS = /^[1-9]\d{0,8}$/;

/**
 * Reads `X-Require-Acr` and `X-Require-Max-Age`. Of several values or lines of each, the strictest counts. So a client that
 * sends the headers too can only make its own request stricter, even behind a gateway that appends its value to the client's.
 *
 * @param acr the lines joined by commas, as Node does; undefined when there is none
 * @param maxAge likewise
 * @returns undefined for bad syntax and for a class that is not known, which no user meets
 */
export function parseRequiredAuthentication(
  acr: string | undefined,
  maxAge: string | undefined,
): AuthenticationDemand | undefined {
  const classes = valuesOf(acr);
  const ages = valuesOf(maxAge);
  if (!classes.every(isAcr) || !ages.every((age) => SECONDS.test(age))) {
    return undefined;
  }
  return {
    acr: ACR_CLASSES.findLast((each) => classes.includes(each)),
    maxAgeSeconds: ages.length === 0 ? undefined : Math.min(...ages.map(Number)),
  };
}

function valuesOf(header: string | undefined): string[] {
  return header === undefined ? [] : header.split(',').map((value) => value.trim());
}

function isAcr(value: string): value is Acr {
  return (ACR_CLASSES as readonly string[]).includes(value);
}
