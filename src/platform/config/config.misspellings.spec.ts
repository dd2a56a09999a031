import { describe, expect, it } from 'vitest';

import { findMisspellings } from './config.misspellings.js';
import { configVariableList } from './config.variables.js';

describe('misspelt variables', () => {
  it.each([
    ['RATCHET_PORT', 'PORT'],
    ['RATCHET_AUTH_SECRET', 'AUTH_SECRET'],
    ['RATCHET_AUTH_SECRET_FILE', 'AUTH_SECRET_FILE'],
    ['RATCHET_ACCESS_TOKEN_TTL', 'ACCESS_TOKEN_TTL_SECONDS'],
    ['ACCESS_TOKEN_TTL', 'ACCESS_TOKEN_TTL_SECONDS'],
    ['ACCESS_TOKEN_TTL_MS', 'ACCESS_TOKEN_TTL_SECONDS'],
    ['ACESS_TOKEN_TTL_SECONDS', 'ACCESS_TOKEN_TTL_SECONDS'],
    ['ACESS_TOKEN_TTL', 'ACCESS_TOKEN_TTL_SECONDS'],
    ['access_token_ttl_seconds', 'ACCESS_TOKEN_TTL_SECONDS'],
    ['REFRESH_TOKEN_TTL', 'REFRESH_TOKEN_TTL_SECONDS'],
    ['REFRESH_TOKEN_TTL_DAYS', 'REFRESH_TOKEN_TTL_SECONDS'],
    ['REFRESH_TOKEN_IDLE_TTL', 'REFRESH_TOKEN_IDLE_TTL_SECONDS'],
    ['REFRESH_GRACE', 'REFRESH_GRACE_SECONDS'],
    ['MAX_SESSION_PER_USER', 'MAX_SESSIONS_PER_USER'],
    ['CORS_ORIGIN', 'CORS_ORIGINS'],
    ['JWT_AUDIANCE', 'JWT_AUDIENCE'],
    ['JWT_ALGORITHMS', 'JWT_ALGORITHM'],
    ['DATABSE_URL', 'DATABASE_URL'],
    ['DATABASE_LUR', 'DATABASE_URL'],
    ['DATABASE_URI', 'DATABASE_URL'],
    ['DATABASE_URLFILE', 'DATABASE_URL_FILE'],
    ['AUTH_SECRETS', 'AUTH_SECRET'],
    ['AUTH_SECRET_ACCEPT', 'AUTH_SECRET_ACCEPTED'],
    ['PORT_FILE', 'PORT'],
    ['JWT_ISSUER_FILE', 'JWT_ISSUER'],
    ['TRUSTED_PROXY', 'TRUSTED_PROXIES'],
    ['JWT_SECRET', 'AUTH_SECRET'],
  ])('%s is noticed and %s suggested', (name, intended) => {
    expect(findMisspellings({ [name]: 'on' })).toEqual([`${name} is not read; did you mean ${intended}?`]);
  });

  it('never are the documented names themselves', () => {
    const names = configVariableList.flatMap(({ name, isSecret }) => (isSecret ? [name, `${name}_FILE`] : [name]));
    expect(findMisspellings(Object.fromEntries(names.map((name) => [name, 'on'])))).toEqual([]);
  });

  it('do not count while they are empty, as an empty variable is an unset one', () => {
    expect(findMisspellings({ RATCHET_PORT: '', CORS_ORIGIN: '' })).toEqual([]);
  });

  it('include JWT_SECRET only while AUTH_SECRET is unset: beside it, it is a neighbour’s', () => {
    expect(findMisspellings({ JWT_SECRET: 'on', AUTH_SECRET: 'on' })).toEqual([]);
    expect(findMisspellings({ JWT_SECRET: 'on', AUTH_SECRET_FILE: 'on' })).toEqual([]);
  });

  it('do not include what Kubernetes and Docker links say about a service called ratchet', () => {
    expect(
      findMisspellings({
        RATCHET_PORT: 'tcp://10.0.12.7:3000',
        RATCHET_PORT_3000_TCP: 'tcp://10.0.12.7:3000',
        RATCHET_PORT_3000_TCP_ADDR: '10.0.12.7',
        RATCHET_PORT_3000_TCP_PORT: '3000',
        RATCHET_PORT_3000_TCP_PROTO: 'tcp',
        RATCHET_SERVICE_HOST: '10.0.12.7',
        RATCHET_SERVICE_PORT: '3000',
        RATCHET_SERVICE_PORT_HTTP: '3000',
      }),
    ).toEqual([]);
  });

  it('raise no false alarm in the environments that people really have', () => {
    const names = `
      PATH HOME PWD OLDPWD SHELL SHLVL USER LOGNAME MAIL TERM LANG LC_ALL TZ TMPDIR EDITOR HOSTNAME HOSTTYPE _ DISPLAY
      XDG_DATA_DIRS XDG_DATA_HOME XDG_RUNTIME_DIR SSH_AUTH_SOCK SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE CI DEBUG
      HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy https_proxy no_proxy host port PORT_HTTP PORT_3000 HTTP_PORT APP_PORT
      NODE NODE_OPTIONS NODE_PATH NODE_VERSION NODE_EXTRA_CA_CERTS NODE_DEBUG NODE_NO_WARNINGS NODE_HOME NODE_ICU_DATA
      YARN_VERSION NVM_DIR NVM_BIN npm_config_cache npm_config_loglevel npm_config_node_gyp npm_config_user_agent
      npm_execpath npm_node_execpath npm_lifecycle_event npm_package_name npm_package_config_port NPM_CONFIG_LOGLEVEL
      PGHOST PGPORT PGUSER PGPASSWORD PGDATABASE PGDATA PGSSLMODE PGAPPNAME
      POSTGRES_URL POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB POSTGRES_HOST POSTGRES_PORT POSTGRES_HOST_AUTH_METHOD
      DATABASE_NAME DATABASE_USER DATABASE_USERNAME DATABASE_PASSWORD DATABASE_HOST DATABASE_PORT DATABASE_SSL
      DATABASE_SCHEMA DATABASE_POOL_MIN DATABASE_POOL_MAX DATABASE_PRIVATE_URL DATABASE_PUBLIC_URL TEST_DATABASE_URL
      DIRECT_URL SHADOW_DATABASE_URL REDIS_URL MONGO_URL DB_URL DB_HOST DB_PORT
      JWT_PUBLIC_KEY JWT_PRIVATE_KEY JWT_EXPIRES_IN JWKS_URL OAUTH_SECRET OAUTH_CLIENT_SECRET OAUTH_ISSUER NEXTAUTH_SECRET
      NEXTAUTH_URL AUTH_URL AUTH_TOKEN AUTH_HOST SESSION_SECRET COOKIE_SECRET CLIENT_SECRET APP_SECRET SECRET_KEY_BASE
      DATA_PATH DATA_PORT APP_DATA_DIR CONFIG_DIR LOG_FORMAT LOG_FILE LOG_DIR RUST_LOG TRUST_PROXY CORS_ENABLED
      KUBERNETES_SERVICE_HOST KUBERNETES_SERVICE_PORT KUBERNETES_PORT KUBERNETES_PORT_443_TCP AUTH_PORT AUTH_SERVICE_HOST
      AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN GOOGLE_APPLICATION_CREDENTIALS DYNO
      GITHUB_ACTIONS GITHUB_TOKEN GITHUB_REF_NAME RUNNER_TEMP COMPOSE_PROJECT_NAME DOCKER_HOST INVOCATION_ID
      JEST_WORKER_ID FORCE_COLOR NO_COLOR COLORTERM VSCODE_PID RATCHET RATCHET_VERSION RATCHET_IMAGE RATCHET_HOME`;
    const environment = Object.fromEntries(
      names
        .trim()
        .split(/\s+/)
        .map((name) => [name, 'on']),
    );
    expect(Object.keys(environment).length).toBeGreaterThan(150);
    expect(findMisspellings(environment)).toEqual([]);
  });
});
