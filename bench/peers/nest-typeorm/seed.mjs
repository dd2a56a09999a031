// `ROWS` users with one refresh token each. Writes the tokens and e-mails to the file named by OUT.
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { NestFactory } from '@nestjs/core';
import { hash } from '@node-rs/argon2';
import { DataSource } from 'typeorm';

process.env.SYNCHRONIZE = 'on';
const { AppModule } = await import('./dist/app.module.js');

const { OUT, ROWS, PASSWORD } = process.env;
const context = await NestFactory.createApplicationContext(AppModule, { logger: ['error'] });
const dataSource = context.get(DataSource);
const passwordHash = await hash(PASSWORD, { memoryCost: 19_456, timeCost: 2, parallelism: 1 });
const emails = Array.from({ length: Number(ROWS) }, (_, index) => `user${index}@bench.example`);
const tokens = emails.map(() => randomBytes(32).toString('base64url'));
await dataSource.query(
  `with made as (
     insert into users (email, password_hash) select email, $2 from unnest($1::text[]) as email returning id, email
   )
   insert into refresh_tokens (user_id, token_hash, expires_at)
   select made.id, given.token_hash, now() + interval '14 days'
   from unnest($1::text[], $3::text[]) as given (email, token_hash) join made using (email)`,
  [emails, passwordHash, tokens.map((token) => createHash('sha256').update(token).digest('hex'))],
);
await dataSource.query('analyze');
writeFileSync(OUT, JSON.stringify({ tokens, emails }));
await context.close();
