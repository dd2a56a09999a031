// A whole session with a client that is generated from the OpenAPI document (`schema.ts`). `test/openapi-client` checks its
// types and runs it.
import createClient from 'openapi-fetch';
import type { components, paths } from './generated/schema.js';

type Problem = components['schemas']['ProblemDto'];

/** What an error says to a program, from the type that the document gives it. */
function codeOf(error: Problem | undefined): Problem['code'] | undefined {
  return error?.code;
}

/** @returns what each step answered, in order */
export async function session(baseUrl: string, email: string, password: string, next: string): Promise<unknown[]> {
  const client = createClient<paths>({ baseUrl });
  const bearer = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } });
  const steps: unknown[] = [];

  const registered = await client.POST('/auth/register', { body: { email, password } });
  steps.push(registered.data?.email);
  const again = await client.POST('/auth/register', { body: { email, password } });
  steps.push(codeOf(again.error));

  const login = await client.POST('/auth/login', { body: { email, password } });
  if (login.data === undefined) {
    throw new Error(login.error.detail);
  }
  const me = await client.GET('/auth/me', bearer(login.data.access_token));
  steps.push(me.data?.roles);

  const refresh = await client.POST('/auth/refresh', {
    body: { refresh_token: login.data.refresh_token },
    params: { header: { 'Idempotency-Key': crypto.randomUUID() } },
  });
  if (refresh.data === undefined) {
    throw new Error(refresh.error.detail);
  }
  const { token_type, expires_in }: { token_type: 'Bearer'; expires_in: number } = refresh.data;
  steps.push([token_type, expires_in]);

  const sessions = await client.GET('/auth/sessions', bearer(refresh.data.access_token));
  steps.push(sessions.data?.sessions.map(({ current }) => current));

  const changed = await client.POST('/auth/password', {
    body: { current_password: password, new_password: next },
    ...bearer(refresh.data.access_token),
  });
  if (changed.data === undefined) {
    throw new Error(changed.error.detail);
  }
  const ended = await client.GET('/auth/me', bearer(refresh.data.access_token));
  steps.push(codeOf(ended.error));

  const logout = await client.POST('/auth/logout', bearer(changed.data.access_token));
  steps.push(logout.response.status);
  const wait: number = 0;
  const revocations = await client.GET('/auth/revocations', { params: { query: { wait } } });
  steps.push(revocations.data?.revoked.length);
  const gone = await client.POST('/auth/refresh', { body: { refresh_token: changed.data.refresh_token } });
  steps.push(codeOf(gone.error));
  return steps;
}

/** Lines that must not compile. */
export function refused(): unknown {
  const client = createClient<paths>();
  return [
    // @ts-expect-error a member that the service refuses
    (): components['schemas']['LoginDto'] => ({ email: '', password: '', remember: true }),
    // @ts-expect-error a member that it demands
    () => client.POST('/auth/refresh', { body: {} }),
    // @ts-expect-error a text where it wants a number
    () => client.GET('/auth/revocations', { params: { query: { wait: 'long' } } }),
    // @ts-expect-error a code that it does not have
    (problem: Problem) => problem.code === 'unheard_of',
  ];
}
