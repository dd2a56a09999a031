import type { LoggerService } from '@nestjs/common';
import type { Level, Logger } from 'pino';
import { isError } from '../common/is-error.js';

/** Nest tells of every module, route and instance it makes; worth reading only when something is wrong with them. */
const CHATTER = new Set(['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestApplication']);

/**
 * Lets Nest's `Logger`, the framework's own lines and our services', come out of the one log in the one form.
 * A message may be a sentence, an error, or an object of fields with its sentence under `msg`; objects and errors
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
  if (isError(value)) {
    return { err: value };
  }
  if (typeof value === 'object' && value !== null) {
    return value;
  }
  return {};
}
