import { describe, expect, it } from 'vitest';
import { mayCookieAuthenticate } from './same-site.rule.js';

const ORIGINS = new Set(['https://app.example.com', 'https://www.example.com']);

type Row = readonly [
  origin: string | undefined,
  site: string | undefined,
  mode: string | undefined,
  dest: string | undefined,
  reads: boolean,
  changes: boolean,
];

const OURS = 'https://app.example.com';
const SIBLING = 'https://evil.example.com';

const ROWS: readonly Row[] = [
  // An origin decides alone, whatever else is said.
  [OURS, 'same-site', 'cors', 'empty', true, true],
  [OURS, undefined, undefined, undefined, true, true],
  [OURS, 'cross-site', 'websocket', 'empty', true, true],
  ['https://www.example.com', 'same-site', 'cors', 'empty', true, true],
  [SIBLING, 'same-site', 'cors', 'empty', false, false],
  [SIBLING, 'same-origin', 'navigate', 'document', false, false],
  [SIBLING, 'none', 'navigate', 'document', false, false],
  ['null', 'cross-site', 'navigate', 'document', false, false],
  ['null', 'same-origin', 'cors', 'empty', false, false],
  ['', 'same-origin', 'cors', 'empty', false, false],
  [`${OURS}, ${OURS}`, 'same-origin', 'cors', 'empty', false, false],
  ['https://APP.example.com', 'same-origin', 'cors', 'empty', false, false],
  ['http://app.example.com', 'same-origin', 'cors', 'empty', false, false],
  ['https://app.example.com:444', 'same-origin', 'cors', 'empty', false, false],
  // Without one, a request that reads may come from the origin itself, from the user, or as a navigation.
  [undefined, 'same-origin', 'cors', 'empty', true, false],
  [undefined, 'same-origin', 'no-cors', 'image', true, false],
  [undefined, 'none', 'navigate', 'document', true, false],
  [undefined, 'same-site', 'navigate', 'document', true, false],
  [undefined, 'cross-site', 'navigate', 'document', true, false],
  [undefined, 'same-site', 'navigate', 'iframe', false, false],
  [undefined, 'cross-site', 'navigate', 'iframe', false, false],
  [undefined, 'cross-site', 'navigate', 'object', false, false],
  [undefined, 'same-site', 'no-cors', 'image', false, false],
  [undefined, 'same-site', 'no-cors', 'document', false, false],
  [undefined, 'cross-site', 'no-cors', 'script', false, false],
  [undefined, 'same-site', 'no-cors', 'empty', false, false],
  [undefined, 'Same-Origin', undefined, undefined, false, false],
  [undefined, 'same-origin, same-origin', undefined, undefined, false, false],
  [undefined, undefined, 'navigate', undefined, false, false],
  [undefined, undefined, undefined, 'document', false, false],
  [undefined, undefined, undefined, undefined, false, false],
];

describe('the rule for requests that only a cookie authenticates', () => {
  it.each(ROWS)(
    'Origin %s, Sec-Fetch-Site %s, -Mode %s, -Dest %s: may read %s, may change something %s',
    (origin, site, mode, dest, reads, changes) => {
      const headers = {
        ...(origin !== undefined && { origin }),
        'sec-fetch-site': site,
        'sec-fetch-mode': mode,
        'sec-fetch-dest': dest,
      };
      expect({
        reads: mayCookieAuthenticate(headers, ORIGINS, false),
        changes: mayCookieAuthenticate(headers, ORIGINS, true),
      }).toEqual({ reads, changes });
    },
  );
});
