import { howToMakeASecret } from './auth-secret.policy.js';
import { isThisMachineByHttp } from './config.parsers.js';
import type { Settings } from './config.settings.js';
import { type ConfigVariable, configVariables } from './config.variables.js';

const DAY_SECONDS = 86_400;

/** Browsers have to support as many, and none is known to support more. */
const RELATED_LABELS_MAX = 5;

/** A condition on two or more variables. */
interface ConfigRule {
  /** What the rule demands; it holds only for programs that read this. */
  readonly demands?: ConfigVariable<unknown>;
  /** The rule is skipped while one of these is malformed; that problem is reported already. */
  readonly concerns: readonly ConfigVariable<unknown>[];
  readonly problem: string;
  isBroken(settings: Settings): boolean;
}

const {
  accessTokens,
  cookies,
  database,
  factors,
  http,
  mail,
  metrics,
  passwords,
  refreshTokens,
  runtime,
  secrets,
  signingKeys,
} = configVariables;

const rules: readonly ConfigRule[] = [
  requiredInProduction(database.url),
  requiredInProduction(secrets.current, `; ${howToMakeASecret}`),
  requiredInProduction(accessTokens.issuer),
  requiredInProduction(accessTokens.audience),
  {
    // A database of one's own may serve several instances, and a generated secret is on one disk only.
    demands: secrets.current,
    concerns: [runtime.environment],
    problem: `AUTH_SECRET must be set when DATABASE_URL is; ${howToMakeASecret}`,
    isBroken: (settings) => !isProduction(settings) && settings.isSet(database.url) && !settings.isSet(secrets.current),
  },
  {
    concerns: [],
    problem: 'DATABASE_DIRECT_URL needs DATABASE_URL; it is a second way to the same database',
    isBroken: (settings) => settings.isSet(database.directUrl) && !settings.isSet(database.url),
  },
  {
    // RFC 8414 §2: an issuer is an https URL; otherwise a machine in the middle could give verifiers its own keys.
    concerns: [runtime.environment, accessTokens.issuer],
    problem: 'JWT_ISSUER must be an https URL in production, unless its host is this machine',
    isBroken: (settings) => isProduction(settings) && isPlainHttpElsewhere(settings.get(accessTokens.issuer)),
  },
  {
    // Otherwise a page could ask for the transport whose tokens a script in it can read.
    concerns: [cookies.origins, http.corsOrigins],
    problem: 'COOKIE_ORIGINS must not have an origin that is in CORS_ORIGINS',
    isBroken: (settings) => {
      const corsOrigins = settings.get(http.corsOrigins);
      return settings.get(cookies.origins).some((origin) => corsOrigins.includes(origin));
    },
  },
  {
    concerns: [runtime.environment, cookies.origins],
    problem: 'COOKIE_ORIGINS must be https origins in production',
    isBroken: (settings) =>
      isProduction(settings) && settings.get(cookies.origins).some((origin) => !origin.startsWith('https:')),
  },
  {
    // Over plain HTTP a browser keeps no cookie with `Secure`, and one without it can be read and planted on the way.
    concerns: [runtime.environment, accessTokens.issuer, cookies.origins],
    problem:
      'COOKIE_ORIGINS needs an https URL as JWT_ISSUER; outside production, its host may be this machine instead',
    isBroken: (settings) => {
      const issuer = settings.get(accessTokens.issuer);
      const isPlain = issuer?.startsWith('http:') === true;
      return (
        settings.get(cookies.origins).length > 0 && isPlain && (isProduction(settings) || isPlainHttpElsewhere(issuer))
      );
    },
  },
  {
    concerns: [cookies.origins, cookies.accessCookie],
    problem: 'ACCESS_COOKIE=on needs COOKIE_ORIGINS',
    isBroken: (settings) => settings.get(cookies.accessCookie) && settings.get(cookies.origins).length === 0,
  },
  needsMail(mail.verification, 'required'),
  needsMail(mail.signIn, 'on'),
  needsMail(mail.newSignIns, 'on'),
  requiredWithMail(mail.from),
  requiredWithMail(mail.accountUrl),
  {
    concerns: [runtime.environment, mail.transport],
    problem: 'MAIL_URL must be an SMTP server in production; mails in files reach no one',
    isBroken: (settings) => isProduction(settings) && settings.get(mail.transport)?.kind === 'files',
  },
  {
    // Its fragment carries what resets a password.
    concerns: [runtime.environment, mail.accountUrl],
    problem: 'ACCOUNT_URL must be an https URL in production, unless its host is this machine',
    isBroken: (settings) => isProduction(settings) && isPlainHttpElsewhere(settings.get(mail.accountUrl)),
  },
  needsFactors(factors.totpIssuer),
  needsFactors(factors.rpId),
  needsPasskeys(factors.origins),
  needsPasskeys(factors.rpName),
  {
    // Browsers skip the origins of a sixth one in `/.well-known/webauthn`, Web Authentication Level 3 section 5.11.1.
    concerns: [factors.origins],
    problem:
      'WEBAUTHN_ORIGINS may name 5 registrable labels at most, such as the one of example.com and example.co.uk; browsers ignore the others',
    isBroken: (settings) => registrableLabelsOf(settings.get(factors.origins)).size > RELATED_LABELS_MAX,
  },
  {
    concerns: [runtime.environment, passwords.hashCost],
    problem: 'PASSWORD_HASH_COST may be least only with NODE_ENV=test',
    isBroken: (settings) => settings.get(passwords.hashCost) !== 'full' && settings.get(runtime.environment) !== 'test',
  },
  {
    concerns: [metrics.port, http.port],
    problem: 'METRICS_PORT must be another port than PORT',
    isBroken: (settings) => settings.get(http.port) !== 0 && settings.get(metrics.port) === settings.get(http.port),
  },
  notGreater(refreshTokens.idleTtlSeconds, refreshTokens.ttlSeconds),
  notGreater(accessTokens.ttlSeconds, refreshTokens.idleTtlSeconds),
  {
    // Otherwise a key would have to be published before its predecessor signs.
    concerns: [signingKeys.rotationDays, signingKeys.publicationSeconds],
    problem: 'SIGNING_KEY_ROTATION_DAYS must be 0 or longer than SIGNING_KEY_PUBLICATION_SECONDS',
    isBroken: (settings) => {
      const rotationSeconds = settings.get(signingKeys.rotationDays) * DAY_SECONDS;
      return rotationSeconds > 0 && rotationSeconds <= settings.get(signingKeys.publicationSeconds);
    },
  },
];

/** What the rules demand, for the documents. */
export const configRuleTexts: readonly string[] = rules.map(({ problem }) => problem);

/** @returns one problem for each rule that the settings break */
export function findBrokenRules(settings: Settings): readonly string[] {
  return rules
    .filter(({ demands }) => demands === undefined || settings.isRead(demands))
    .filter((rule) => rule.concerns.every((variable) => settings.isSound(variable)) && rule.isBroken(settings))
    .map((rule) => rule.problem);
}

function requiredInProduction(variable: ConfigVariable<unknown>, hint = ''): ConfigRule {
  return {
    demands: variable,
    concerns: [runtime.environment],
    problem: `${variable.name} must be set in production${hint}`,
    isBroken: (settings) => isProduction(settings) && !settings.isSet(variable),
  };
}

/** A switch of something that sends mail. */
function needsMail(
  variable: ConfigVariable<boolean> | ConfigVariable<'off' | 'required'>,
  on: 'on' | 'required',
): ConfigRule {
  return {
    demands: mail.transport,
    concerns: [runtime.environment, variable],
    problem: `${variable.name}=${on} needs MAIL_URL`,
    isBroken: (settings) => {
      const value = settings.get<boolean | 'off' | 'required'>(variable);
      return (value === true || value === 'required') && !isMailOn(settings);
    },
  };
}

function requiredWithMail(variable: ConfigVariable<unknown>): ConfigRule {
  return {
    demands: variable,
    concerns: [runtime.environment],
    problem: `${variable.name} must be set in production when MAIL_URL is`,
    isBroken: (settings) => isProduction(settings) && settings.isSet(mail.transport) && !settings.isSet(variable),
  };
}

function needsFactors(variable: ConfigVariable<unknown>): ConfigRule {
  return {
    concerns: [factors.isOn],
    problem: `${variable.name} needs SECOND_FACTORS=on`,
    isBroken: (settings) => settings.isSet(variable) && !settings.get(factors.isOn),
  };
}

function needsPasskeys(variable: ConfigVariable<unknown>): ConfigRule {
  return {
    concerns: [factors.isOn],
    problem: `${variable.name} needs SECOND_FACTORS=on and WEBAUTHN_RP_ID`,
    isBroken: (settings) => settings.isSet(variable) && !(settings.get(factors.isOn) && settings.isSet(factors.rpId)),
  };
}

/**
 * Returns the registrable labels of origins. Public suffixes are not known here, so a short second level of a country is left
 * out, which may be one, such as `co.uk`: a label too few is better than a start that is refused for nothing.
 */
function registrableLabelsOf(origins: readonly string[]): ReadonlySet<string> {
  return new Set(
    origins.flatMap((origin) => {
      const [, label = '', topLevel = ''] = /([^./]+)\.([a-z][^./:]*)(?::\d+)?$/.exec(origin) ?? [];
      return label.length <= 3 && topLevel.length <= 2 ? [] : [label];
    }),
  );
}

function isMailOn(settings: Settings): boolean {
  return settings.isSet(mail.transport) || settings.get(runtime.environment) === 'development';
}

type NumberVariable = ConfigVariable<number> & { readonly default: string };

function notGreater(shorter: NumberVariable, longer: NumberVariable): ConfigRule {
  return {
    concerns: [shorter, longer],
    problem: `${shorter.name} must not be greater than ${longer.name}`,
    isBroken: (settings) => settings.get(shorter) > settings.get(longer),
  };
}

function isProduction(settings: Settings): boolean {
  return settings.get(runtime.environment) === 'production';
}

function isPlainHttpElsewhere(issuer: string | undefined): boolean {
  if (issuer === undefined) {
    return false;
  }
  const url = new URL(issuer);
  return url.protocol === 'http:' && !isThisMachineByHttp(url);
}
