/** The URLs of a database that has answered. A class so that Nest can inject it by type. */
export abstract class DatabaseAddress {
  abstract readonly url: string;
  /** The same database without a transaction pooler in between; equal to `url` where there is no pooler. */
  abstract readonly directUrl: string;
}

/**
 * Whether a connection keeps prepared statements, settings and LISTEN for its later transactions. Behind a transaction
 * pooler it does not. A class so that Nest can inject it by type.
 */
export abstract class SessionSupport {
  /** Whether it does on connections to `DatabaseAddress.url`. */
  abstract readonly isKept: boolean;
  /** Whether it does on connections to `DatabaseAddress.directUrl`. */
  abstract readonly isKeptDirectly: boolean;
}
