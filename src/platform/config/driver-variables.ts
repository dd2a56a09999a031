/** What node-postgres reads from the environment when a URL does not say it; the last is of its password file. */
const DRIVER_VARIABLES = [
  'PGHOST',
  'PGPORT',
  'PGUSER',
  'PGPASSWORD',
  'PGDATABASE',
  'PGOPTIONS',
  'PGSSLMODE',
  'PGSSLNEGOTIATION',
  'PGBINARY',
  'PGREPLICATION',
  'PGCLIENT_ENCODING',
  'PGAPPNAME',
  'PGCONNECT_TIMEOUT',
  'PGPASSFILE',
];

/**
 * Takes from the environment of this process what the database driver would read besides the settings: a `PGSSLMODE`
 * of the shell would reach the embedded server too, and a `PGOPTIONS` only some of the connections.
 *
 * @returns the names of those that were set
 */
export function dropDriverVariables(environment: NodeJS.ProcessEnv = process.env): readonly string[] {
  const set = DRIVER_VARIABLES.filter((name) => (environment[name] ?? '') !== '');
  for (const name of set) {
    Reflect.deleteProperty(environment, name);
  }
  return set;
}
