import { type ArgumentMetadata, type ValidationError, ValidationPipe } from '@nestjs/common';
import { type FieldError, ValidationFailedError } from '../common/domain.errors.js';

const MAX_FIELD_LENGTH = 100;
const UNKNOWN_MEMBER = 'is not a member of this request';

/**
 * Accepts exactly the documented shape: no unknown members, no values of another type. Gives one message per member, in
 * the order of its decorators from the bottom up; no message repeats a value.
 */
export class BodyValidationPipe extends ValidationPipe {
  constructor() {
    super({
      transform: true,
      whitelist: true,
      forbidNonWhitelisted: true,
      forbidUnknownValues: true,
      stopAtFirstError: true,
      validationError: { target: false, value: false },
      exceptionFactory: (errors) => new ValidationFailedError(errors.flatMap((error) => fieldErrors(error))),
    });
  }

  override async transform(value: unknown, metadata: ArgumentMetadata): Promise<unknown> {
    if (metadata.type !== 'body' || value === undefined) {
      return super.transform(value, metadata);
    }
    // Nest validates `null` as an empty object, which passes wherever every member is optional.
    if (!isJsonObject(value)) {
      throw new ValidationFailedError([{ field: 'body', message: 'must be a JSON object' }]);
    }
    const received = Object.keys(value);
    const body: unknown = await super.transform(value, metadata);
    refuseDroppedMembers(received, body);
    return body;
  }
}

function isJsonObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Nest and class-transformer drop `constructor`, `toString` and the like before validation sees them. */
function refuseDroppedMembers(received: readonly string[], body: unknown): void {
  const dropped = received.filter((name) => !isJsonObject(body) || !Object.hasOwn(body, name));
  if (dropped.length > 0) {
    throw new ValidationFailedError(dropped.map((field) => ({ field, message: UNKNOWN_MEMBER })));
  }
}

function fieldErrors(error: ValidationError, parentPath?: string): FieldError[] {
  // What class-validator is declared to say always; it is undefined where the body is refused as a whole.
  const name = error.property as string | undefined;
  const path = name === undefined || parentPath === undefined ? (name ?? 'body') : `${parentPath}.${name}`;
  const own = Object.entries(error.constraints ?? {}).map(([constraint, message]) => ({
    // The name of an unknown member is the client's, and may be of any length.
    field: path.slice(0, MAX_FIELD_LENGTH),
    message: constraint === 'whitelistValidation' ? UNKNOWN_MEMBER : withoutSubject(message, name),
  }));
  return [...own, ...(error.children ?? []).flatMap((child) => fieldErrors(child, path))];
}

/** The library's messages begin with the name of the member, which `field` says already. */
function withoutSubject(message: string, name = ''): string {
  return message.startsWith(`${name} `) ? message.slice(name.length + 1) : message;
}
