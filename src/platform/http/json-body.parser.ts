import { isUtf8 } from 'node:buffer';
import secureJson from 'secure-json-parse';
import { MalformedRequestError } from '../common/domain.errors.js';

const MAX_NESTING_DEPTH = 32;

const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * Parses a body that no later step can choke on: its depth is bounded before anything recurses over it, it holds no
 * prototype keys, and every string in it can be encoded as UTF-8 (RFC 7493 section 2.1).
 *
 * @returns undefined for an empty body, which a route that needs one refuses by validation, and for `null`, which some
 *   generated clients send where they have no body
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
    const value: unknown = secureJson.parse(json, refuseLoneSurrogates, {
      protoAction: 'error',
      constructorAction: 'error',
    });
    return value === null ? undefined : value;
  } catch (error) {
    // The parser's message quotes the body, which may hold a password.
    throw error instanceof MalformedRequestError ? error : new MalformedRequestError('the body is not acceptable JSON');
  }
}

/** Counts brackets outside strings. On broken JSON the count is meaningless, and the parser refuses it anyway. */
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
