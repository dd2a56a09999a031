// Takes every mail by SMTP, keeps the last ones in memory, and shows them. It sends nothing on: nothing here opens a
// connection. Anything may stand in a mail, so the page has no script and allows none, and a mail's HTML is shown in a
// sandbox with an origin of its own.
import { createServer } from 'node:http';
import { simpleParser } from 'mailparser';
import { SMTPServer } from 'smtp-server';
import { mailPage, listPage, withBase } from './pages.js';

const { HOST = '127.0.0.1', SMTP_PORT = '1025', PORT = '8025' } = process.env;

const MOST_MAILS = 200;
const MAX_MAIL_BYTES = 1_048_576;
const MAX_SENDERS = 20;

/** What this machine calls itself. A page of another site whose name leads here has another one. */
const OWN_NAMES = ['localhost', '127.0.0.1', '[::1]'];

const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** Links open in a new tab; scripts, forms and requests to other hosts do not work. */
const SANDBOX = 'allow-popups allow-popups-to-escape-sandbox';
const HTML_POLICY = `sandbox ${SANDBOX}; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'`;

/** The newest first. */
const mails = [];
let lastId = 0;

async function keep(stream, { envelope }) {
  const parsed = await simpleParser(stream, { skipTextToHtml: true });
  if (stream.sizeExceeded) {
    throw Object.assign(new Error('This mail is too large'), { responseCode: 552 });
  }
  const { subject = '', text = '', html = '', from } = parsed;
  const headers = parsed.headerLines.map(({ line }) => line);
  lastId += 1;
  mails.unshift({
    id: String(lastId),
    at: new Date().toISOString(),
    from: from?.text ?? '',
    // Not the header, which names others at will.
    to: envelope.rcptTo.map(({ address }) => address),
    subject,
    text,
    html: html || '',
    headers,
    links: [...new Set(text.match(/https?:\/\/[^\s<>"]+/g))],
  });
  mails.splice(MOST_MAILS);
}

const smtp = new SMTPServer({
  authOptional: true,
  disabledCommands: ['AUTH', 'STARTTLS'],
  disableReverseLookup: true,
  size: MAX_MAIL_BYTES,
  maxClients: MAX_SENDERS,
  onData: (stream, session, done) => {
    keep(stream, session).then(() => done(), done);
  },
});
// A sender that goes away in the middle of a mail.
smtp.on('error', () => undefined);

const JSON_TYPE = 'application/json; charset=utf-8';
const HTML_TYPE = 'text/html; charset=utf-8';

const http = createServer((request, response) => {
  const { method, headers } = request;
  const hostName = (headers.host ?? '').replace(/:\d+$/, '');
  if (!OWN_NAMES.includes(hostName)) {
    return answer(response, 421, JSON_TYPE, JSON.stringify({ code: 'unknown_host' }));
  }
  const [pathname, query = ''] = request.url.split('?');
  if (method === 'DELETE' && pathname === '/api/mails') {
    mails.length = 0;
    return response.writeHead(204).end();
  }
  if (method !== 'GET' && method !== 'HEAD') {
    return answer(response, 405, JSON_TYPE, JSON.stringify({ code: 'method_not_allowed' }));
  }
  const [, area, id, part] = /^\/(api\/mails|mails)\/(\d+)(\/html)?$/.exec(pathname) ?? [];
  const mail = mails.find((each) => each.id === id);
  if (pathname === '/') {
    answer(response, 200, HTML_TYPE, listPage(mails));
  } else if (pathname === '/health') {
    answer(response, 200, JSON_TYPE, JSON.stringify({ status: 'ok' }));
  } else if (pathname === '/api/mails') {
    const to = new URLSearchParams(query).get('to');
    const found = to === null ? mails : mails.filter((each) => each.to.includes(to));
    answer(response, 200, JSON_TYPE, JSON.stringify({ mails: found }));
  } else if (mail === undefined) {
    answer(response, 404, JSON_TYPE, JSON.stringify({ code: 'not_found' }));
  } else if (area === 'api/mails' && part === undefined) {
    answer(response, 200, JSON_TYPE, JSON.stringify(mail));
  } else if (area === 'mails') {
    const [body, policy] = part === undefined ? [mailPage(mail, SANDBOX)] : [withBase(mail.html), HTML_POLICY];
    answer(response, 200, HTML_TYPE, body, policy);
  } else {
    answer(response, 404, JSON_TYPE, JSON.stringify({ code: 'not_found' }));
  }
});

function answer(response, status, type, body, policy = PAGE_POLICY) {
  response
    .writeHead(status, {
      'content-type': type,
      'content-security-policy': policy,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'cache-control': 'no-store',
    })
    .end(body);
}

function report(listener, server) {
  console.log(JSON.stringify({ event: 'listening', listener, port: server.address().port }));
}

smtp.listen(Number(SMTP_PORT), HOST, () => report('smtp', smtp.server));
http.listen(Number(PORT), HOST, () => report('page', http));

for (const signal of ['SIGTERM', 'SIGINT']) {
  process.once(signal, () => process.exit());
}
