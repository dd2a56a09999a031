// Argon2id alone, with the parameters of the product's own hashes, on all cores. Prints the rate as JSON.
import { availableParallelism } from 'node:os';
import { verify } from '@node-rs/argon2';
import { PasswordHasherService } from '../../dist/users/password-hasher.service.js';

const password = Buffer.from('a password of an ordinary length');
const stored = await new PasswordHasherService({ passwords: { hashCost: 'full' } }).hash(password);

async function run(seconds) {
  const startedAt = performance.now();
  const until = startedAt + seconds * 1_000;
  let count = 0;
  const work = async () => {
    while (performance.now() < until) {
      await verify(stored, password);
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return count / ((performance.now() - startedAt) / 1_000);
}

await run(0.5);
console.log(JSON.stringify({ rate: await run(Number(process.env.SECONDS)) }));
