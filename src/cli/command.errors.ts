/** A command failed. The message is one sentence for the operator at the terminal. */
export class CommandFailedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** The operator interrupted the command before it changed anything. */
export class InterruptedError extends CommandFailedError {
  constructor() {
    super('Interrupted; nothing was done.');
  }
}
