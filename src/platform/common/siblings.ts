/**
 * The other worker processes of this instance, where `WORKERS` asks for several. A class so that Nest can inject it by
 * type.
 */
export abstract class Siblings {
  /**
   * From here on this process is told what the others announce, and they wait until it has been. To be called before it
   * serves: what is committed later than that, and announced, it has heard of before it is acknowledged.
   */
  abstract join(listener: (sessionIds: readonly string[]) => void): void;

  /**
   * Resolves when every sibling knows that the sessions have ended, or has let the time pass in which it could have said
   * so: a sibling that does not answer learns it from the database, within a second, as other instances do. Never rejects.
   */
  abstract announce(sessionIds: readonly string[]): Promise<void>;
}

/** Of a process that is the whole instance. */
export const NO_SIBLINGS: Siblings = {
  join: () => undefined,
  announce: () => Promise.resolve(),
};
