/** A command could not do what was asked; the message is one sentence for the person at the terminal. */
export class CommandFailedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = new.target.name;
  }
}

/** The person at the terminal has changed their mind before anything was done. */
export class InterruptedError extends CommandFailedError {
  constructor() {
    super('Interrupted; nothing was done.');
  }
}
