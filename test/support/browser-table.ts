import type { RequestKind } from './browser-requests.js';
import { APP_ORIGIN, AUTH_ORIGIN, EVIL_ORIGIN, OTHER_ORIGIN } from './browser-origins.js';

/** The pages that ask `auth.example.test`. The operator has listed the first two in `COOKIE_ORIGINS`. */
export const PAGES = { auth: AUTH_ORIGIN, app: APP_ORIGIN, evil: EVIL_ORIGIN, other: OTHER_ORIGIN } as const;

export interface BrowserRow {
  readonly kind: RequestKind;
  readonly page: keyof typeof PAGES;
  /** Undefined when the browser sends a preflight only. */
  readonly sent: SentByBrowser | undefined;
  /** What is answered, by the place that is asked. */
  readonly answers: Readonly<Partial<Record<'verify' | 'me' | 'refresh' | 'logout', number>>>;
}

export interface SentByBrowser {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Which of the two cookies: the refresh cookie is `SameSite=Strict`, the access cookie `SameSite=Lax`. */
  readonly cookies: 'both' | 'lax' | 'none';
}

/**
 * What Chromium sends for each way to ask, and what is answered: at `/auth/verify`, to a gateway that asks about such a
 * request, and for those of its method at `/auth/me`, `/auth/refresh` and `/auth/logout`.
 */
const TABLE = `
how                                          | page  |      | Origin | Site        | Mode     | Dest     | cookies | verify | me  | refresh | logout
fetch POST with a header of its own          | auth  | POST | auth   | same-origin | cors     | empty    | both    | 200    |     | 200     | 204
fetch POST with a header of its own          | app   | POST | app    | same-site   | cors     | empty    | both    | 200    |     | 200     | 204
fetch POST with a header of its own          | evil  | preflight only
fetch POST with a header of its own          | other | preflight only
fetch POST, no-cors                          | auth  | POST | auth   | same-origin | no-cors  | empty    | both    | 200    |     | 400     | 204
fetch POST, no-cors                          | app   | POST | app    | same-site   | no-cors  | empty    | both    | 200    |     | 400     | 204
fetch POST, no-cors                          | evil  | POST | evil   | same-site   | no-cors  | empty    | both    | 403    |     | 403     | 403
fetch POST, no-cors                          | other | POST | other  | cross-site  | no-cors  | empty    | none    | 401    |     | 400     | 400
fetch GET                                    | auth  | GET  |        | same-origin | cors     | empty    | both    | 200    | 200 |         |
fetch GET                                    | app   | GET  | app    | same-site   | cors     | empty    | both    | 200    | 200 |         |
fetch GET                                    | evil  | GET  | evil   | same-site   | cors     | empty    | both    | 403    | 403 |         |
fetch GET                                    | other | GET  | other  | cross-site  | cors     | empty    | none    | 401    | 401 |         |
XHR POST                                     | auth  | POST | auth   | same-origin | cors     | empty    | both    | 200    |     | 400     | 204
XHR POST                                     | app   | POST | app    | same-site   | cors     | empty    | both    | 200    |     | 400     | 204
XHR POST                                     | evil  | POST | evil   | same-site   | cors     | empty    | both    | 403    |     | 403     | 403
XHR POST                                     | other | POST | other  | cross-site  | cors     | empty    | none    | 401    |     | 400     | 400
sendBeacon                                   | auth  | POST | auth   | same-origin | no-cors  | empty    | both    | 200    |     | 400     | 204
sendBeacon                                   | app   | POST | app    | same-site   | no-cors  | empty    | both    | 200    |     | 400     | 204
sendBeacon                                   | evil  | POST | evil   | same-site   | no-cors  | empty    | both    | 403    |     | 403     | 403
sendBeacon                                   | other | POST | other  | cross-site  | no-cors  | empty    | none    | 401    |     | 400     | 400
form POST                                    | auth  | POST | auth   | same-origin | navigate | document | both    | 200    |     | 400     | 204
form POST                                    | app   | POST | app    | same-site   | navigate | document | both    | 200    |     | 400     | 204
form POST                                    | evil  | POST | evil   | same-site   | navigate | document | both    | 403    |     | 403     | 403
form POST                                    | other | POST | other  | cross-site  | navigate | document | none    | 401    |     | 400     | 400
form GET                                     | auth  | GET  |        | same-origin | navigate | document | both    | 200    | 200 |         |
form GET                                     | app   | GET  |        | same-site   | navigate | document | both    | 200    | 200 |         |
form GET                                     | evil  | GET  |        | same-site   | navigate | document | both    | 200    | 200 |         |
form GET                                     | other | GET  |        | cross-site  | navigate | document | lax     | 200    | 200 |         |
link                                         | auth  | GET  |        | same-origin | navigate | document | both    | 200    | 200 |         |
link                                         | app   | GET  |        | same-site   | navigate | document | both    | 200    | 200 |         |
link                                         | evil  | GET  |        | same-site   | navigate | document | both    | 200    | 200 |         |
link                                         | other | GET  |        | cross-site  | navigate | document | lax     | 200    | 200 |         |
window.open                                  | auth  | GET  |        | same-origin | navigate | document | both    | 200    | 200 |         |
window.open                                  | app   | GET  |        | same-site   | navigate | document | both    | 200    | 200 |         |
window.open                                  | evil  | GET  |        | same-site   | navigate | document | both    | 200    | 200 |         |
window.open                                  | other | GET  |        | cross-site  | navigate | document | lax     | 200    | 200 |         |
link, redirected by another site             | auth  | GET  |        | cross-site  | navigate | document | both    | 200    | 200 |         |
link, redirected by another site             | app   | GET  |        | cross-site  | navigate | document | both    | 200    | 200 |         |
link, redirected by another site             | evil  | GET  |        | cross-site  | navigate | document | both    | 200    | 200 |         |
link, redirected by another site             | other | GET  |        | cross-site  | navigate | document | lax     | 200    | 200 |         |
form POST, redirected by another site        | auth  | POST | null   | cross-site  | navigate | document | both    | 403    |     | 403     | 403
form POST, redirected by another site        | app   | POST | null   | cross-site  | navigate | document | both    | 403    |     | 403     | 403
form POST, redirected by another site        | evil  | POST | null   | cross-site  | navigate | document | both    | 403    |     | 403     | 403
form POST, redirected by another site        | other | POST | null   | cross-site  | navigate | document | none    | 401    |     | 400     | 400
img                                          | auth  | GET  |        | same-origin | no-cors  | image    | both    | 200    | 200 |         |
img                                          | app   | GET  |        | same-site   | no-cors  | image    | both    | 403    | 403 |         |
img                                          | evil  | GET  |        | same-site   | no-cors  | image    | both    | 403    | 403 |         |
img                                          | other | GET  |        | cross-site  | no-cors  | image    | none    | 401    | 401 |         |
iframe                                       | auth  | GET  |        | same-origin | navigate | iframe   | both    | 200    | 200 |         |
iframe                                       | app   | GET  |        | same-site   | navigate | iframe   | both    | 403    | 403 |         |
iframe                                       | evil  | GET  |        | same-site   | navigate | iframe   | both    | 403    | 403 |         |
iframe                                       | other | GET  |        | cross-site  | navigate | iframe   | none    | 401    | 401 |         |
form POST in a sandboxed iframe              | auth  | POST | null   | cross-site  | navigate | iframe   | none    | 401    |     | 400     | 400
form POST in a sandboxed iframe              | app   | POST | null   | cross-site  | navigate | iframe   | none    | 401    |     | 400     | 400
form POST in a sandboxed iframe              | evil  | POST | null   | cross-site  | navigate | iframe   | none    | 401    |     | 400     | 400
form POST in a sandboxed iframe              | other | POST | null   | cross-site  | navigate | iframe   | none    | 401    |     | 400     | 400
fetch POST in a sandboxed iframe, no-cors    | auth  | POST | null   | cross-site  | no-cors  | empty    | none    | 401    |     | 400     | 400
fetch POST in a sandboxed iframe, no-cors    | app   | POST | null   | cross-site  | no-cors  | empty    | none    | 401    |     | 400     | 400
fetch POST in a sandboxed iframe, no-cors    | evil  | POST | null   | cross-site  | no-cors  | empty    | none    | 401    |     | 400     | 400
fetch POST in a sandboxed iframe, no-cors    | other | POST | null   | cross-site  | no-cors  | empty    | none    | 401    |     | 400     | 400
WebSocket                                    | auth  | GET  | auth   |             |          |          | both    | 200    | 200 |         |
WebSocket                                    | app   | GET  | app    |             |          |          | both    | 200    | 200 |         |
WebSocket                                    | evil  | GET  | evil   |             |          |          | both    | 403    | 403 |         |
WebSocket                                    | other | GET  | other  |             |          |          | none    | 401    | 401 |         |
fetch POST through a service worker, no-cors | auth  | POST | auth   | same-origin | no-cors  | empty    | both    | 200    |     | 400     | 204
fetch POST through a service worker, no-cors | app   | POST | app    | same-site   | no-cors  | empty    | both    | 200    |     | 400     | 204
fetch POST through a service worker, no-cors | evil  | POST | evil   | same-site   | no-cors  | empty    | both    | 403    |     | 403     | 403
fetch POST through a service worker, no-cors | other | POST | other  | cross-site  | no-cors  | empty    | none    | 401    |     | 400     | 400
`;

export const BROWSER_ROWS: readonly BrowserRow[] = TABLE.trim()
  .split('\n')
  .slice(1)
  .map((line) => {
    const [kind, page, method, origin, site, mode, dest, cookies, ...statuses] = line
      .split('|')
      .map((cell) => cell.trim());
    const headers = {
      'sec-fetch-site': site,
      'sec-fetch-mode': mode,
      'sec-fetch-dest': dest,
      origin: originOf(origin),
    };
    const answers = (['verify', 'me', 'refresh', 'logout'] as const).map((place, index) => [place, statuses[index]]);
    return {
      kind,
      page,
      sent: method === 'preflight only' ? undefined : { method, headers: withoutEmpty(headers), cookies },
      answers: Object.fromEntries(answers.flatMap(([place, status]) => (status ? [[place, Number(status)]] : []))),
    } as BrowserRow;
  });

function originOf(cell: string | undefined): string | undefined {
  return Object.entries(PAGES).find(([page]) => page === cell)?.[1] ?? cell;
}

function withoutEmpty(headers: Readonly<Record<string, string | undefined>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(headers).flatMap(([name, value]) => (value ? [[name, value]] : [])));
}
