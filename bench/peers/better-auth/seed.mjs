// Makes accounts through the library, and signs `SESSIONS` of them in; the rest of the rows is copied from the first
// one, so that the tables are as full as the others'. Writes what the load generator needs to the file named by OUT.
import { writeFileSync } from 'node:fs';
import { getMigrations } from 'better-auth/db/migration';
import { createAuth } from './auth.mjs';

const { OUT, SESSIONS, ROWS, PASSWORD } = process.env;
const sessions = Number(SESSIONS);

const { auth, pool } = createAuth();
const { runMigrations } = await getMigrations(auth.options);
await runMigrations();

const cookies = [];
const emails = [];
for (let index = 0; index < sessions; index += 1) {
  const email = `user${index}@bench.example`;
  const { headers } = await auth.api.signUpEmail({
    body: { email, password: PASSWORD, name: `User ${index}` },
    returnHeaders: true,
  });
  emails.push(email);
  cookies.push(
    headers
      .getSetCookie()
      .map((cookie) => cookie.split(';', 1)[0])
      .join('; '),
  );
}
await pool.query(
  `insert into "user" (id, name, email, "emailVerified", "createdAt", "updatedAt")
   select 'filler-' || n, 'Filler', 'filler' || n || '@bench.example', false, now(), now()
   from generate_series(1, $1::integer) as n`,
  [Number(ROWS) - sessions],
);
await pool.query(
  `insert into account (id, "accountId", "providerId", "userId", password, "createdAt", "updatedAt")
   select 'filler-' || n, 'filler-' || n, 'credential', 'filler-' || n, (select password from account limit 1), now(), now()
   from generate_series(1, $1::integer) as n`,
  [Number(ROWS) - sessions],
);
await pool.query(
  `insert into session (id, token, "userId", "expiresAt", "createdAt", "updatedAt")
   select 'filler-' || n, md5(n::text), 'filler-' || n, now() + interval '7 days', now(), now()
   from generate_series(1, $1::integer) as n`,
  [Number(ROWS) - sessions],
);
await pool.query('vacuum (analyze)');
writeFileSync(OUT, JSON.stringify({ cookies, emails }));
await pool.end();
