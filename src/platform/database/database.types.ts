/** Where the database is, once it is known to be there. A class so that Nest can inject it by type. */
export abstract class DatabaseAddress {
  abstract readonly url: string;
  /** The same database without a transaction pooler in between; equal to `url` where there is no pooler. */
  abstract readonly directUrl: string;
}

/**
 * Whether what a connection has been told holds for its later transactions: prepared statements, settings, LISTEN. Behind
 * a transaction pooler it does not. A class so that Nest can inject it by type.
 */
export abstract class SessionSupport {
  /** Of `DatabaseAddress.url`. */
  abstract readonly isKept: boolean;
  /** Of `DatabaseAddress.directUrl`. */
  abstract readonly isKeptDirectly: boolean;
}
