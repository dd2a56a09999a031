import type { LoggerService } from '@nestjs/common';
import type { Level, Logger } from 'pino';

/** Contexts in which Nest reports every module, route and instance. They matter only when one of these is wrong. */
const CHATTER = new Set(['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestApplication']);

/**
 * Writes what Nest's `Logger` receives, from the framework and from our services, to the log of the process in one
 * form. A message is a sentence, an error, or an object of fields with its sentence under `msg`. Objects and errors
 * after it are added as fields.
 */
export class NestLogger implements LoggerService {
  constructor(private readonly logger: Logger) {}

  log(message: unknown, ...rest: unknown[]): void {
    const context = contextOf(rest);
    this.write(context !== undefined && CHATTER.has(context) ? 'debug' : 'info', message, rest);
  }

  fatal(message: unknown, ...rest: unknown[]): void {
    this.write('fatal', message, rest);
  }

  error(message: unknown, ...rest: unknown[]): void {
    this.write('error', message, rest);
  }

  warn(message: unknown, ...rest: unknown[]): void {
    this.write('warn', message, rest);
  }

  debug(message: unknown, ...rest: unknown[]): void {
    this.write('debug', message, rest);
  }

  verbose(message: unknown, ...rest: unknown[]): void {
    this.write('trace', message, rest);
  }

  private write(level: Level, message: unknown, rest: readonly unknown[]): void {
    const context = contextOf(rest);
    const others = context === undefined ? rest : rest.slice(0, -1);
    const fields: Record<string, unknown> = context === undefined ? {} : { context };
    for (const value of [...others, message]) {
      Object.assign(fields, fieldsOf(value));
    }
    this.logger[level](fields, typeof message === 'string' ? message : undefined);
  }
}

/** Nest appends the name of the logger's owner. */
function contextOf(rest: readonly unknown[]): string | undefined {
  const last = rest.at(-1);
  return typeof last === 'string' ? last : undefined;
}

function fieldsOf(value: unknown): object {
  if (value instanceof Error) {
    return { err: value };
  }
  if (typeof value === 'object' && value !== null) {
    return value;
  }
  return {};
}
