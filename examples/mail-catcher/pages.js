// What the mail catcher's pages look like. Everything of a mail that stands in them is escaped.

const STYLE = `
  :root { color-scheme: light dark; --ink: #1d1c19; --soft: #5d594f; --line: #ddd9cd; --paper: #f5f4ef; --link: #0a534c }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #eeece5; --soft: #aaa79b; --line: #343833; --paper: #131513; --link: #97e2d7 }
  }
  body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto; max-width: 60rem;
    padding: 1rem; overflow-wrap: anywhere }
  h1 { font-size: 1.4rem; margin: .5rem 0 }
  h2 { font-size: 1rem; margin: 1.5rem 0 .25rem }
  a { color: var(--link) }
  ul { list-style: none; padding: 0 }
  li { border-top: 1px solid var(--line); padding: .6rem 0 }
  small, dt { color: var(--soft) }
  dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem }
  dd { margin: 0 }
  pre { white-space: pre-wrap; border: 1px solid var(--line); padding: 1rem; margin: 0 }
  iframe { width: 100%; height: 36rem; border: 1px solid var(--line); background: #fff }
`;

const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

const escape = (text) => text.replace(/[&<>"']/g, (character) => ESCAPES[character]);

/** @param head markup, as `body` is */
function page(title, body, head = '') {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${STYLE}</style>
${head}
</head>
<body>
${body}
</body>
</html>
`;
}

/** Looks for new mails every few seconds, without a script. */
export function listPage(mails) {
  const items = mails.map(
    ({ id, subject, to, at }) =>
      `<li><a href="/mails/${id}">${escape(subject || '(no subject)')}</a><br><small>to ${escape(to.join(', '))}, ${at}</small></li>`,
  );
  const list = items.length === 0 ? '<p>No mail has been sent yet.</p>' : `<ul>${items.join('\n')}</ul>`;
  const body = `<h1>Mails</h1>
<p><small>Every mail that is sent in this set-up ends here, and none leaves it. The last 200 are kept until this program ends.</small></p>
${list}`;
  return page('Mails', body, '<meta http-equiv="refresh" content="3">');
}

/** @param sandbox what a mail's HTML may do in its frame */
export function mailPage({ id, subject, from, to, at, text, html, headers }, sandbox) {
  const frame = `<h2>HTML</h2><iframe title="HTML of the mail" src="/mails/${id}/html" sandbox="${sandbox}" referrerpolicy="no-referrer"></iframe>`;
  return page(
    subject,
    `<p><a href="/">All mails</a></p>
<h1>${escape(subject || '(no subject)')}</h1>
<dl><dt>from</dt><dd>${escape(from)}</dd><dt>to</dt><dd>${escape(to.join(', '))}</dd><dt>at</dt><dd>${at}</dd></dl>
<h2>Text</h2>
<pre>${withLinks(text)}</pre>
${html === '' ? '' : frame}
<details><summary>Headers</summary><pre>${escape(headers.join('\n'))}</pre></details>`,
  );
}

/** Escapes a text and turns its http addresses into links. */
function withLinks(text) {
  return text
    .split(/(https?:\/\/[^\s<>"]+)/)
    .map((piece, index) =>
      index % 2 === 0
        ? escape(piece)
        : `<a href="${escape(piece)}" target="_blank" rel="noopener noreferrer">${escape(piece)}</a>`,
    )
    .join('');
}

/** Lets the links of a mail open in a new tab; its own frame shows nothing but the mail. */
export function withBase(html) {
  const [doctype = ''] = /^\s*<!doctype[^>]*>/i.exec(html) ?? [];
  return `${doctype}<base target="_blank">${html.slice(doctype.length)}`;
}
