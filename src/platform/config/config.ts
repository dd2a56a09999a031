import type { configVariables } from './config.variables.js';
import type { MailboxWithName, Parser } from './config.parsers.js';

type ValueOf<V> = V extends { readonly parser: Parser<infer T> }
  ? V extends { readonly default: string } | { readonly parser: { readonly empty: unknown } }
    ? T
    : T | undefined
  : never;

/** The values of the variables, in the groups and under the names of `configVariables`. */
export type ConfigValues = {
  readonly [Group in keyof typeof configVariables]: {
    readonly [Name in keyof (typeof configVariables)[Group]]: ValueOf<(typeof configVariables)[Group][Name]>;
  };
};

/** How mails are sent and what for. */
export interface MailConfig {
  readonly transport:
    { readonly kind: 'files'; readonly dir: string } | { readonly kind: 'smtp'; readonly url: string };
  readonly from: MailboxWithName;
  /** Links are this, `#`, and what they carry. */
  readonly accountUrl: string;
  readonly templatesDir: string | undefined;
  readonly locale: string;
  readonly verification: 'off' | 'required';
  readonly signIn: boolean;
  readonly newSignIns: boolean;
}

/** How users can prove who they are besides their password or mailbox. */
export interface FactorsConfig {
  /** Without a colon. */
  readonly totpIssuer: string;
  /** Undefined when passkeys are off. */
  readonly passkeys:
    { readonly rpId: string; readonly rpName: string; readonly origins: readonly string[] } | undefined;
}

/**
 * The configuration of the service: validated and frozen before anything else runs. What a value means is written
 * beside its variable in `configVariables`. A class, so that Nest can inject it by its type.
 */
export abstract class Config implements Omit<ConfigValues, 'mail' | 'factors'> {
  abstract readonly database: ConfigValues['database'];
  /** The loader generates the current secret where none is required, so it is never absent. */
  abstract readonly secrets: ConfigValues['secrets'] & { readonly current: Buffer };
  abstract readonly http: ConfigValues['http'];
  abstract readonly cookies: ConfigValues['cookies'];
  abstract readonly metrics: ConfigValues['metrics'];
  /** The issuer is never absent: the loader derives it where none is required. */
  abstract readonly accessTokens: ConfigValues['accessTokens'] & { readonly issuer: string };
  abstract readonly signingKeys: ConfigValues['signingKeys'];
  abstract readonly refreshTokens: ConfigValues['refreshTokens'];
  abstract readonly revocation: ConfigValues['revocation'];
  abstract readonly passwords: ConfigValues['passwords'];
  abstract readonly limits: ConfigValues['limits'];
  /** Undefined when mail is off. */
  abstract readonly mail: MailConfig | undefined;
  /** Undefined when second factors are off. */
  abstract readonly factors: FactorsConfig | undefined;
  abstract readonly runtime: ConfigValues['runtime'];
  /** The settings that differ from their defaults, fit for a log: a secret is only said to be set. */
  abstract readonly changedSettings: readonly string[];
  /** Variables that are set and that programs around PostgreSQL read, but not this one. */
  abstract readonly ignoredVariables: readonly string[];
}

export type JwtAlgorithm = ConfigValues['accessTokens']['algorithm'];
