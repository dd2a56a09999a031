/** Where the database is, once it is known to be there. A class so that Nest can inject it by type. */
export abstract class DatabaseAddress {
  abstract readonly url: string;
  /** The same database without a transaction pooler in between; equal to `url` where there is no pooler. */
  abstract readonly directUrl: string;
}
