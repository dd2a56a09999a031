import { isatty } from 'node:tty';
import { type DestinationStream, type Logger, type LoggerOptions, pino, stdTimeFunctions } from 'pino';
import { redactFields, redactLine, redactValue } from './redaction.js';
import { StandardOutput } from './standard-output.js';

const STDOUT_FD = 1;

export interface CreateLoggerOptions {
  readonly level: LoggerOptions['level'] & string;
  /** Receives one line of JSON per event; by default standard output. */
  readonly destination?: DestinationStream;
}

/**
 * Creates the log of the process: one line of JSON per event. Secrets are removed here, by key from every field and by
 * shape from the finished line, so that no caller can forget to.
 */
export function createLogger({ level, destination }: CreateLoggerOptions): Logger {
  const options: LoggerOptions = {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    // Errors arrive at pino's own serializer already reduced to plain objects.
    serializers: { err: (value: unknown) => value },
    formatters: {
      level: (label) => ({ level: label }),
      log: redactFields,
    },
    hooks: {
      // The message and the values that are interpolated into it (`%o`) never pass the field formatter.
      logMethod(args, method) {
        Reflect.apply(
          method,
          this,
          args.map((value: unknown, index) => (index === 0 && typeof value !== 'string' ? value : redactValue(value))),
        );
      },
      streamWrite: redactLine,
    },
  };
  return pino(options, destination ?? new StandardOutput());
}

/** Creates the log of the process on standard output, for people where that is a terminal. */
export async function createProcessLogger(options: Omit<CreateLoggerOptions, 'destination'>): Promise<Logger> {
  if (!isatty(STDOUT_FD)) {
    return createLogger(options);
  }
  const { prettyDestination } = await import('./pretty.destination.js');
  return createLogger({ ...options, destination: prettyDestination() });
}
