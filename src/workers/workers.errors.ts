/** The workers cannot be kept running; the message says what became of the last one. */
export class WorkersFailedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WorkersFailedError';
  }
}
