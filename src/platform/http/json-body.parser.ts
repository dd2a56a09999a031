import { isUtf8 } from 'node:buffer';
import type { FastifyInstance } from 'fastify';
import secureJson from 'secure-json-parse';
import { DomainError, MalformedRequestError } from '../common/domain.errors.js';
import { refuseOtherEncodings } from './body-encoding.js';
import { UnsupportedMediaTypeError } from './problems/http.errors.js';
import { readsForm } from './route-contract.js';

export const BODY_LIMIT_BYTES = 16 * 1024;
const MAX_NESTING_DEPTH = 32;

const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Makes JSON the only content type that is read at all, until another parser is registered. Fastify answers everything
 * else with 415 before a handler runs, so no route can be reached with a body that was not validated.
 */
export function registerJsonBodyParser(instance: FastifyInstance): void {
  instance.removeAllContentTypeParsers();
  instance.addContentTypeParser<Buffer>(
    'application/json',
    { parseAs: 'buffer', bodyLimit: BODY_LIMIT_BYTES },
    (request, body, done) => {
      try {
        if (readsForm(request)) {
          throw new UnsupportedMediaTypeError('JSON where a form is read');
        }
        refuseOtherEncodings(request);
        done(null, parseJsonBody(body));
      } catch (error) {
        done(error instanceof DomainError ? error : new MalformedRequestError());
      }
    },
  );
}

/**
 * Parses a body that no later step can choke on: its depth is bounded before anything recurses over it, it holds no
 * prototype keys, and every string in it can be encoded as UTF-8 (RFC 7493 section 2.1).
 * @returns undefined for an empty body, which a route that needs one refuses by validation
 * @throws MalformedRequestError for anything that is not such JSON
 */
export function parseJsonBody(body: Buffer): unknown {
  if (body.length === 0) {
    return undefined;
  }
  if (!isUtf8(body)) {
    throw new MalformedRequestError('the body is not UTF-8');
  }
  const json = body.toString();
  if (nestsDeeperThan(MAX_NESTING_DEPTH, json)) {
    throw new MalformedRequestError('the body is nested too deeply');
  }
  try {
    return secureJson.parse(json, refuseLoneSurrogates, { protoAction: 'error', constructorAction: 'error' });
  } catch (error) {
    // The parser's message quotes the body, which may hold a password.
    throw error instanceof MalformedRequestError ? error : new MalformedRequestError('the body is not acceptable JSON');
  }
}

/** Counts brackets outside strings; on broken JSON the count is meaningless and the parser says so. */
function nestsDeeperThan(limit: number, json: string): boolean {
  let depth = 0;
  let inString = false;
  for (let index = 0; index < json.length; index++) {
    const character = json[index];
    if (character === '\\') {
      // The next one is escaped.
      index++;
    } else if (character === '"') {
      inString = !inString;
    } else if (!inString && (character === '[' || character === '{')) {
      depth++;
      if (depth > limit) {
        return true;
      }
    } else if (!inString && (character === ']' || character === '}')) {
      depth--;
    }
  }
  return false;
}

function refuseLoneSurrogates(key: string, value: unknown): unknown {
  if (LONE_SURROGATE.test(key) || (typeof value === 'string' && LONE_SURROGATE.test(value))) {
    throw new MalformedRequestError('the body holds a lone surrogate');
  }
  return value;
}
