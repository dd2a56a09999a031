import {
  type Config,
  ConfigurationError,
  configVariableList,
  createLogger,
  loadConfig,
  TEST_KIT_SECRET,
} from '@ratchet/server/internal';
import { randomBytes } from 'node:crypto';
import type { Databases } from './databases.mjs';
import { Namespace } from './namespace.mjs';
import { TestProblem } from './problems.mjs';

/** Is there from the start, and mounted at `/`. */
export const MAIN = 'main';

const MOST_NAMESPACES = 64;

/** What makes a namespace quick and quiet; each can be set otherwise. */
const DEFAULTS: Settings = {
  RATE_LIMITS: 'off',
  PASSWORD_HASH_COST: 'least',
  LOG_LEVEL: 'error',
  DATABASE_POOL_SIZE: '3',
  SECOND_FACTORS: 'on',
};

/** The kit's own, and what would lead out of the process. */
const FORBIDDEN = [
  'AUTH_SECRET',
  'AUTH_SECRET_ACCEPTED',
  'DATABASE_URL',
  'DATABASE_DIRECT_URL',
  'DATA_DIR',
  'HOST',
  'MAIL_URL',
  'METRICS_PORT',
  'NODE_ENV',
  'PORT',
  'REDIS_URL',
];

/** Variables of the service, by name. */
export type Settings = Readonly<Record<string, string>>;

interface Entry {
  readonly name: string;
  readonly settings: Settings;
  readonly opened: Promise<Namespace>;
  database?: string;
  namespace?: Namespace;
}

/** The namespaces of the runner. */
export class Namespaces {
  private readonly entries = new Map<string, Entry>();

  /**
   * @param issuerOf the issuer of a namespace
   * @param defaults for all namespaces, before their own settings
   */
  constructor(
    private readonly databases: Databases,
    private readonly issuerOf: (name: string) => string,
    private readonly defaults: Settings,
  ) {
    this.configOf(MAIN, {});
  }

  get names(): readonly string[] {
    return [...this.entries.keys()];
  }

  /** @throws TestProblem when there is none, or it is being made */
  get(name: string): Namespace {
    const namespace = this.entries.get(name)?.namespace;
    if (namespace === undefined) {
      throw new TestProblem(
        404,
        'namespace_unknown',
        `There is no namespace ${name}. Make it by PUT /test/${name}; there are ${this.names.join(', ')}.`,
      );
    }
    return namespace;
  }

  /**
   * Makes a namespace, unless there is one of this name.
   *
   * @param settings undefined for those of a namespace that is there, and none for a new one
   * @throws TestProblem
   */
  async provide(
    name: string,
    settings: Settings | undefined,
  ): Promise<{ readonly namespace: Namespace; readonly isNew: boolean }> {
    const known = this.entries.get(name);
    if (known !== undefined) {
      if (settings !== undefined && !isSame(settings, known.settings)) {
        throw new TestProblem(
          409,
          'config_differs',
          `The namespace ${name} is there with another config; ` +
            (name === MAIN ? 'its own is that of the runner (--config).' : `send DELETE /test/${name} before.`),
        );
      }
      return { namespace: await known.opened, isNew: false };
    }
    if (this.entries.size >= MOST_NAMESPACES) {
      throw new TestProblem(
        409,
        'too_many_namespaces',
        `There are ${MOST_NAMESPACES} namespaces; use one for each worker and reset it, or drop some by DELETE.`,
      );
    }
    const config = this.configOf(name, settings ?? {});
    const entry: Entry = {
      name,
      settings: settings ?? {},
      opened: Promise.resolve().then(() => this.open(entry, config)),
    };
    this.entries.set(name, entry);
    return { namespace: await entry.opened, isNew: true };
  }

  /** @throws TestProblem */
  async drop(name: string): Promise<void> {
    if (name === MAIN) {
      throw new TestProblem(409, 'namespace_kept', `The namespace ${MAIN} stays; reset it, or use another one.`);
    }
    this.get(name);
    const entry = this.entries.get(name);
    if (entry !== undefined) {
      await this.remove(entry);
    }
  }

  /** Ends all of them. */
  async close(): Promise<void> {
    await Promise.all([...this.entries.values()].map((entry) => this.remove(entry)));
  }

  private async open(entry: Entry, config: Config): Promise<Namespace> {
    try {
      entry.database = await this.databases.create();
      const logger = createLogger({ level: config.runtime.logLevel, destination: process.stderr });
      return (entry.namespace = await Namespace.open(entry.name, config, entry.database, logger));
    } catch (error) {
      await this.remove(entry);
      throw error;
    }
  }

  private async remove(entry: Entry): Promise<void> {
    this.entries.delete(entry.name);
    await entry.namespace?.close();
    if (entry.database !== undefined) {
      await this.databases.drop(entry.database);
    }
  }

  /** @throws TestProblem */
  private configOf(name: string, settings: Settings): Config {
    const known = configVariableList.map((variable) => variable.name).filter((each) => !FORBIDDEN.includes(each));
    const unknown = Object.keys({ ...this.defaults, ...settings }).filter((each) => !known.includes(each));
    if (unknown.length > 0) {
      throw invalidConfig(
        unknown.map((each) => `${each} cannot be set for a namespace`).concat(`known are ${known.join(', ')}`),
      );
    }
    try {
      const config: Pick<Config, keyof Config> = loadConfig({
        ...DEFAULTS,
        // Mail is on; the mails stay in memory.
        MAIL_URL: 'file',
        JWT_ISSUER: this.issuerOf(name),
        ...this.defaults,
        ...settings,
        NODE_ENV: 'test',
        // Replaced below, by the one that no service accepts.
        AUTH_SECRET: randomBytes(32).toString('base64url'),
        // Known only later, and read by no one.
        DATABASE_URL: 'postgres://localhost/ratchet',
      });
      return { ...config, secrets: { current: Buffer.from(TEST_KIT_SECRET), accepted: [] } };
    } catch (error) {
      throw error instanceof ConfigurationError ? invalidConfig(error.problems) : error;
    }
  }
}

function invalidConfig(problems: readonly string[]): TestProblem {
  return new TestProblem(400, 'validation_failed', `The config is not one of the service: ${problems.join('; ')}.`, {
    errors: problems.map((message) => ({ field: 'config', message })),
  });
}

function isSame(one: Settings, other: Settings): boolean {
  const names = Object.keys(one);
  return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}
