export type JwtAlgorithm = 'ES256' | 'RS256';
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';

/**
 * The service's whole configuration: validated, typed and frozen before anything else runs.
 * An abstract class rather than an interface so that Nest can inject it by type.
 */
export abstract class Config {
  abstract readonly environment: 'development' | 'production' | 'test';
  abstract readonly logLevel: LogLevel;
  abstract readonly http: HttpConfig;
  abstract readonly database: DatabaseConfig;
  abstract readonly secrets: SecretsConfig;
  abstract readonly accessTokens: AccessTokenConfig;
  abstract readonly signingKeys: SigningKeyConfig;
  abstract readonly refreshTokens: RefreshTokenConfig;
  abstract readonly revocation: RevocationConfig;
  abstract readonly passwords: PasswordConfig;
  abstract readonly limits: LimitsConfig;
  abstract readonly metrics: MetricsConfig;
  /** The settings that differ from their defaults, fit for a log: a secret is only said to be set. */
  abstract readonly changedSettings: readonly string[];
}

export interface HttpConfig {
  readonly host: string;
  /** 0 lets the operating system choose. */
  readonly port: number;
  /** Addresses and CIDRs whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  /** Exact origins, e.g. `https://app.example.com`. */
  readonly corsOrigins: readonly string[];
  /** 0 sends no `Strict-Transport-Security`. */
  readonly hstsMaxAgeSeconds: number;
}

export interface DatabaseConfig {
  /** Absent: the embedded Postgres in `dataDir`. */
  readonly url?: string;
  /** Bypasses a transaction pooler for LISTEN, migrations and jobs; absent when there is no pooler. */
  readonly directUrl?: string;
  readonly poolSize: number;
  /** Absolute. */
  readonly dataDir: string;
}

export interface SecretsConfig {
  /** Mints and verifies; at least 32 bytes. */
  readonly current: Buffer;
  /** Verify only. */
  readonly accepted: readonly Buffer[];
}

export interface AccessTokenConfig {
  readonly issuer: string;
  readonly audience: string;
  /** What new signing keys are made for. */
  readonly algorithm: JwtAlgorithm;
  readonly ttlSeconds: number;
}

export interface SigningKeyConfig {
  /** How long a key signs; 0: until an operator rotates. */
  readonly rotationDays: number;
  /** How long a key is published before it signs: the longest that anybody caches the JWK Set. */
  readonly publicationSeconds: number;
}

export interface RefreshTokenConfig {
  readonly idleTtlSeconds: number;
  readonly ttlSeconds: number;
  readonly graceSeconds: number;
  readonly rollForward: boolean;
  readonly maxSessionsPerUser: number;
}

export interface RevocationConfig {
  readonly maxStalenessSeconds: number;
}

export interface PasswordConfig {
  /** In Unicode code points. */
  readonly minLength: number;
}

export interface LimitsConfig {
  /** Off for load tests and test suites only. */
  readonly isOn: boolean;
  /** Where attempts are counted; absent: in the database. */
  readonly redisUrl?: string;
}

export interface MetricsConfig {
  /** Absent: there are none. 0 lets the operating system choose. */
  readonly port?: number;
}
