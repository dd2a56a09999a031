const ATTEMPTS = 3;

const form = document.querySelector('form');
const main = document.querySelector('main');
let pair;

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const response = await post('/auth/login', Object.fromEntries(new FormData(form)));
  if (response.ok) {
    pair = await response.json();
    await show();
  }
});
main.querySelector('button').addEventListener('click', show);

async function show() {
  let response = await list();
  if (response.status === 401 && (await refresh())) {
    response = await list();
  }
  form.hidden = response.ok;
  main.hidden = !response.ok;
  if (response.ok) {
    main.querySelector('p').textContent = `Orders of ${(await response.json()).ordersOf}`;
  }
}

function list() {
  return fetch('/orders', { headers: { authorization: `Bearer ${pair.access_token}` } });
}

/** Exchanges the refresh token. When no answer arrives it asks again with the same key, and gets the same new token. */
async function refresh() {
  const idempotencyKey = crypto.randomUUID();
  for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
    try {
      const response = await post('/auth/refresh', { refresh_token: pair.refresh_token }, idempotencyKey);
      if (response.ok) {
        pair = await response.json();
      }
      return response.ok;
    } catch {
      // The answer got lost.
    }
  }
  return false;
}

function post(path, body, idempotencyKey) {
  const headers = { 'content-type': 'application/json' };
  if (idempotencyKey !== undefined) {
    headers['idempotency-key'] = idempotencyKey;
  }
  return fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
}
