import { Config } from './config.js';
import type { Settings } from './config.settings.js';
import { configVariables as variables } from './config.variables.js';

/** The one place where a variable becomes a member of the configuration. */
export class LoadedConfig extends Config {
  readonly environment;
  readonly logLevel;
  readonly http;
  readonly database;
  readonly secrets;
  readonly accessTokens;
  readonly signingKeys;
  readonly refreshTokens;
  readonly revocation;
  readonly passwords;
  readonly limits;
  readonly metrics;
  readonly changedSettings;

  constructor(settings: Settings, dataDir: string, currentSecret: Buffer) {
    super();
    this.changedSettings = settings.listChanged();
    const url = settings.get(variables.databaseUrl);
    const directUrl = settings.get(variables.databaseDirectUrl);
    this.environment = settings.get(variables.nodeEnv);
    this.logLevel = settings.get(variables.logLevel);
    this.http = {
      host: settings.get(variables.host),
      port: settings.get(variables.port),
      trustedProxies: settings.get(variables.trustedProxies) ?? [],
      corsOrigins: settings.get(variables.corsOrigins) ?? [],
      hstsMaxAgeSeconds: settings.get(variables.hstsMaxAgeSeconds),
    };
    this.database = {
      ...(url === undefined ? {} : { url }),
      ...(directUrl === undefined ? {} : { directUrl }),
      poolSize: settings.get(variables.databasePoolSize),
      dataDir,
    };
    this.secrets = {
      current: currentSecret,
      accepted: settings.get(variables.authSecretAccepted) ?? [],
    };
    this.accessTokens = {
      issuer: settings.get(variables.jwtIssuer),
      audience: settings.get(variables.jwtAudience),
      algorithm: settings.get(variables.jwtAlgorithm),
      ttlSeconds: settings.get(variables.accessTokenTtlSeconds),
    };
    this.signingKeys = {
      rotationDays: settings.get(variables.signingKeyRotationDays),
      publicationSeconds: settings.get(variables.signingKeyPublicationSeconds),
    };
    this.refreshTokens = {
      idleTtlSeconds: settings.get(variables.refreshTokenIdleTtlSeconds),
      ttlSeconds: settings.get(variables.refreshTokenTtlSeconds),
      graceSeconds: settings.get(variables.refreshGraceSeconds),
      rollForward: settings.get(variables.refreshRollForward),
      maxSessionsPerUser: settings.get(variables.maxSessionsPerUser),
    };
    this.revocation = { maxStalenessSeconds: settings.get(variables.revocationMaxStalenessSeconds) };
    this.passwords = { minLength: settings.get(variables.passwordMinLength) };
    const redisUrl = settings.get(variables.redisUrl);
    this.limits = {
      isOn: settings.get(variables.rateLimits),
      ...(redisUrl === undefined ? {} : { redisUrl }),
    };
    const metricsPort = settings.get(variables.metricsPort);
    this.metrics = metricsPort === undefined ? {} : { port: metricsPort };
  }
}
