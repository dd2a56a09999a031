import { pino, stdTimeFunctions } from 'pino';
import type { DestinationStream, Logger, LoggerOptions } from 'pino';
import { isTerminal, prettyDestination } from './pretty.destination.js';
import { redactFields, redactLine, redactValue } from './redaction.js';

export interface CreateLoggerOptions {
  readonly level: LoggerOptions['level'] & string;
  /** Receives one line of JSON per event; by default standard output, pretty where that is a terminal. */
  readonly destination?: DestinationStream;
}

/**
 * The one log of the process: one line of JSON per event. Secrets are removed here and not by the callers, so that no
 * caller can forget: by key from every field, and by shape from the finished line.
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
      // What is interpolated into the message (`%o`) never passes the field formatter.
      logMethod(args, method) {
        Reflect.apply(
          method,
          this,
          args.map((value: unknown, index) => (index === 0 ? value : redactValue(value))),
        );
      },
      streamWrite: redactLine,
    },
  };
  return pino(options, destination ?? (isTerminal() ? prettyDestination() : pino.destination({ dest: 1, sync: true })));
}
