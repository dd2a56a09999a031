import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';

/**
 * Invariant 8: nothing that authenticates is ever in a log or in the database in clear. Passwords, retry keys and the
 * server secret of the tests carry a marker, so that they can be told from other text wherever they turn up.
 */
const SECRETS = [
  ['password', /pw-secret-[A-Za-z0-9]{8,}/],
  ['Idempotency-Key', /ik-secret-[A-Za-z0-9]{8,}/],
  ['AUTH_SECRET', /auth-secret-of-the-tests-[A-Za-z0-9]{8,}/],
  ['refresh token', /rt1\.[A-Za-z0-9_-]{20,}/],
  ['ticket token', /\b[a-z]{2}1\.[A-Za-z0-9_-]{65}[AQgw]\b/],
  ['access token', /eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}/],
  // An otpauth URI has it as well.
  ['TOTP secret', /\b[A-Z2-7]{32}\b/],
  ['TOTP code', /\btotp"?\s*[:=]\s*"?\d{6}\b/],
  ['recovery code', /\b[A-Z2-7]{4}(?:-[A-Z2-7]{4}){3}\b/],
  // What an authenticator signs begins with `{"type":"webauthn.`.
  [
    'passkey assertion',
    /\beyJ0eXBlIjoid2ViYXV0aG4u|"(?:signature|authenticatorData|attestationObject)"\s*:\s*"[A-Za-z0-9_-]{20,}"/,
  ],
  ['private key', /PRIVATE KEY|"d"\s*:\s*"[A-Za-z0-9_-]{20,}"/],
];

/** @returns {string[]} one line per kind of secret that stands in the text, with what surrounds it */
export function findSecrets(text, where) {
  return SECRETS.flatMap(([kind, pattern]) => {
    const match = pattern.exec(text);
    return match === null
      ? []
      : [`${kind} in ${where}: …${text.slice(Math.max(0, match.index - 80), match.index + 60)}…`];
  });
}

/** Scans the services' logs, the server's log, and every table of every database of the run. */
export async function scanForSecrets({ runDir, serverUrl, prefix, isEmbedded }) {
  const logFiles = (await readdir(join(runDir, 'logs'))).map((name) => join(runDir, 'logs', name));
  if (isEmbedded) {
    logFiles.push(join(runDir, 'postgres', 'postgres', 'server.log'));
  }
  const findings = [];
  for (const file of logFiles) {
    findings.push(...findSecrets(textOf(await readFile(file)), file));
  }
  let tables = 0;
  const databases = await listDatabases(serverUrl, prefix);
  // The server works on one database while this process searches another one.
  const scanRest = async () => {
    for (let database = databases.pop(); database !== undefined; database = databases.pop()) {
      const scan = await scanDatabase(serverUrl, database);
      findings.push(...scan.findings);
      tables += scan.tables;
    }
  };
  await Promise.all([scanRest(), scanRest()]);
  return { findings, summary: `Secret scan: ${logFiles.length} logs, ${tables} tables, ${findings.length} findings.` };
}

async function scanDatabase(serverUrl, database) {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  const client = new pg.Client({ connectionString: url.href });
  await client.connect();
  // A table without a block has no row.
  const { rows } = await client.query(
    `select format('%I.%I', nspname, relname) as name, pg_relation_size(pg_class.oid) > 0 as "hasBlocks"
     from pg_class join pg_namespace on pg_namespace.oid = relnamespace
     where relkind in ('r', 'p') and nspname not in ('pg_catalog', 'information_schema')`,
  );
  const findings = [];
  for (const { name } of rows.filter(({ hasBlocks }) => hasBlocks)) {
    findings.push(...findSecrets(await copyOut(client, name), `${database}.${name}`));
  }
  await client.end();
  return { findings, tables: rows.length };
}

async function listDatabases(serverUrl, prefix) {
  const client = new pg.Client({ connectionString: serverUrl });
  await client.connect();
  const { rows } = await client.query('select datname from pg_database where starts_with(datname, $1)', [prefix]);
  await client.end();
  return rows.map((row) => row.datname);
}

async function copyOut(client, table) {
  const chunks = [];
  for await (const chunk of client.query(copyTo(`copy ${table} to stdout`))) {
    chunks.push(chunk);
  }
  return textOf(Buffer.concat(chunks));
}

/** Every secret is ASCII, which reads the same in Latin-1, and that needs no decoding. */
function textOf(bytes) {
  return bytes.toString('latin1');
}
