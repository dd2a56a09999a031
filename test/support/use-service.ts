import { afterAll, beforeAll } from 'vitest';
import type { Type } from '@nestjs/common';
import { PostgresProxy } from './postgres-proxy.js';
import { createTestDatabase, type TestDatabase } from './test-database.js';
import { startService, type TestService } from './test-service.js';

/**
 * One instance on a database of its own, from before the first test of the enclosing `describe` until after its last.
 * Both can be used in hooks and tests only: they do not exist yet while the tests are declared.
 *
 * @param environment overrides, as an operator would set them
 */
export function useService(environment: Readonly<Record<string, string>> = {}): {
  readonly database: TestDatabase;
  readonly service: TestService;
} {
  const database = useDatabase();
  return { database, service: useInstance(database, environment) };
}

/** A database of its own, as `useService` has it. */
export function useDatabase(content: 'migrated' | 'empty' = 'migrated'): TestDatabase {
  const database = new Late<TestDatabase>('database');
  beforeAll(async () => {
    database.start(await createTestDatabase(content));
  });
  afterAll(() => database.end((started) => started.close()));
  return {
    get url() {
      return database.started.url;
    },
    sql: (text, values) => database.started.sql(text, values),
    close: () => database.started.close(),
  };
}

/** Stands between the database and the instances that are given the proxy in its place. */
export function useProxy(database: Pick<TestDatabase, 'url'>): PostgresProxy {
  const proxy = new PostgresProxy(database);
  beforeAll(() => proxy.listen());
  afterAll(() => proxy.close());
  return proxy;
}

/**
 * One more instance, on a database or a proxy that has been declared before it.
 *
 * @param environment a function when it names what a hook before this one starts
 * @param modules those of the service that no route uses yet
 */
export function useInstance(
  database: Pick<TestDatabase, 'url'>,
  environment: Readonly<Record<string, string>> | (() => Readonly<Record<string, string>>) = {},
  modules: readonly Type[] = [],
): TestService {
  const service = new Late<TestService>('service');
  beforeAll(async () => {
    service.start(
      await startService(database, typeof environment === 'function' ? environment() : environment, modules),
    );
  });
  afterAll(() => service.end((started) => started.stop()));
  return {
    get app() {
      return service.started.app;
    },
    get config() {
      return service.started.config;
    },
    get url() {
      return service.started.url;
    },
    get client() {
      return service.started.client;
    },
    get logs() {
      return service.started.logs;
    },
    stop: () => service.started.stop(),
  };
}

/** What a hook starts: declared before it exists. */
class Late<T> {
  private value: T | undefined;

  constructor(private readonly name: string) {}

  get started(): T {
    if (this.value === undefined) {
      throw new Error(`the ${this.name} exists in hooks and tests only, not while they are declared`);
    }
    return this.value;
  }

  start(value: T): void {
    this.value = value;
  }

  /** Does nothing when the start failed, whose error is the one to be seen. */
  async end(stop: (started: T) => Promise<void>): Promise<void> {
    if (this.value !== undefined) {
      await stop(this.value);
    }
  }
}
