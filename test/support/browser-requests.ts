import type { Page } from 'playwright-core';
import { OTHER_ORIGIN } from './browser-origins.js';
import type { Page as Answer } from './tls-front.js';

/**
 * The ways in which a page makes a browser ask for an address, each as a script that runs in the page. A promise is fulfilled
 * when nothing more is going to be sent.
 */
export const REQUEST_KINDS = {
  'fetch POST with a header of its own': (url) =>
    `fetch('${url}', { method: 'POST', credentials: 'include', headers: { 'idempotency-key': crypto.randomUUID() } })
      .catch(() => 'refused')`,
  'fetch POST, no-cors': (url) =>
    `fetch('${url}', { method: 'POST', credentials: 'include', mode: 'no-cors' }).catch(() => 'refused')`,
  'fetch GET': (url) => `fetch('${url}', { credentials: 'include' }).catch(() => 'refused')`,
  'XHR POST': (url) =>
    `new Promise((resolve) => {
      const request = Object.assign(new XMLHttpRequest(), { withCredentials: true, onloadend: () => resolve() });
      request.open('POST', '${url}');
      request.send();
    })`,
  sendBeacon: (url) => `navigator.sendBeacon('${url}', '')`,
  'form POST': (url) => form('POST', url),
  'form GET': (url) => form('GET', url),
  link: (url) =>
    `{ const link = document.createElement('a'); link.href = '${url}'; document.body.append(link); link.click() }`,
  'window.open': (url) => `{ window.open('${url}') }`,
  'link, redirected by another site': (url) =>
    `{ const link = document.createElement('a'); link.href = '${redirecting(302, url)}'; document.body.append(link);
      link.click() }`,
  'form POST, redirected by another site': (url) => form('POST', redirecting(307, url)),
  img: (url) => element('img', `src="${url}"`),
  iframe: (url) => element('iframe', `src="${url}"`),
  'form POST in a sandboxed iframe': (url) =>
    sandboxed(`<form method=POST action='${url}'></form><script>document.forms[0].submit()</script>`),
  'fetch POST in a sandboxed iframe, no-cors': (url) =>
    sandboxed(`<script>fetch('${url}', { method: 'POST', credentials: 'include', mode: 'no-cors' })</script>`),
  WebSocket: (url) =>
    `new Promise((resolve) => { new WebSocket('${url.replace('https:', 'wss:')}').onclose = () => resolve() })`,
  'fetch POST through a service worker, no-cors': (url) =>
    `(async () => {
      await navigator.serviceWorker.register('/worker.js');
      await navigator.serviceWorker.ready;
      if (!navigator.serviceWorker.controller) {
        await new Promise((resolve) => { navigator.serviceWorker.oncontrollerchange = () => resolve() });
      }
      await fetch('${url}', { method: 'POST', credentials: 'include', mode: 'no-cors' }).catch(() => 'refused');
    })()`,
} satisfies Readonly<Record<string, (url: string) => string>>;

export type RequestKind = keyof typeof REQUEST_KINDS;

/** What the hosts of the pages answer for the scripts above. */
export function pageFor(target: string): Answer {
  if (target === '/worker.js') {
    return {
      headers: { 'content-type': 'text/javascript' },
      body: `self.oninstall = () => self.skipWaiting();
        self.onactivate = (event) => event.waitUntil(self.clients.claim());
        self.onfetch = (event) => event.respondWith(fetch(event.request));`,
    };
  }
  const [, status = '', location = ''] = /^\/redirect\?(\d+)&(.*)$/.exec(target) ?? [];
  return status === '' ? {} : { status: Number(status), headers: { location } };
}

const NAVIGATIONS: readonly RequestKind[] = [
  'form POST',
  'form GET',
  'link',
  'link, redirected by another site',
  'form POST, redirected by another site',
];

/** Lets a page ask for an address in one way, and waits until the page, or the window that it opens, has gone there. */
export async function request(page: Page, kind: RequestKind, url: string): Promise<void> {
  const opened = kind === 'window.open' ? page.waitForEvent('popup') : undefined;
  await page.evaluate(REQUEST_KINDS[kind](url));
  if (NAVIGATIONS.includes(kind)) {
    await page.waitForURL(url);
  }
  const popup = await opened;
  await popup?.waitForURL(url);
  await popup?.close();
}

function redirecting(status: number, url: string): string {
  return `${OTHER_ORIGIN}/redirect?${status}&${url}`;
}

/** A form of the method GET replaces the query by its fields. */
function form(method: string, url: string): string {
  const fields = [...new URL(url).searchParams].map(([name, value]) => `<input name="${name}" value="${value}">`);
  return `{ document.body.innerHTML = '<form method=${method} action="${url}">${method === 'GET' ? fields.join('') : ''}</form>';
    document.forms[0].submit() }`;
}

function element(name: string, attributes: string): string {
  return `{ document.body.innerHTML = '<${name} ${attributes}>' }`;
}

function sandboxed(content: string): string {
  return `{ const frame = document.createElement('iframe'); frame.sandbox = 'allow-scripts allow-forms';
    frame.srcdoc = ${JSON.stringify(content)}; document.body.append(frame) }`;
}
