import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { IsString, ValidateIf } from 'class-validator';
import { EMAIL_MAX_CHARACTERS } from '../../users/users.types.js';
import { NEW_PASSWORD_SCHEMA } from '../auth.dto.js';
import type { MailTicket } from './mailbox.types.js';

const EXAMPLE = 'AZr0Q1m9eVYxQd1x2v8pKk7mTt0cJb3nUe5wLh6sGf4aDq2yNi8zRoPjXvCuBkEl';

const exampleOf = (form: string): string => `${form}.${EXAMPLE}A`.slice(0, 70);

const isSent =
  (member: string) =>
  (body: object): boolean =>
    (body as Readonly<Record<string, unknown>>)[member] !== undefined;

export class EmailDto {
  @IsString()
  @ApiProperty({ format: 'email', maxLength: EMAIL_MAX_CHARACTERS, example: 'ada@example.com' })
  readonly email!: string;
}

export class EmailChangeDto {
  @IsString()
  @ApiProperty({ format: 'email', maxLength: EMAIL_MAX_CHARACTERS, example: 'ada@example.org' })
  readonly new_email!: string;
}

export class PasswordResetDto {
  @IsString()
  @ApiProperty({ description: 'Of the link, after `#password_reset=`.', example: exampleOf('pr1') })
  readonly token!: string;

  @IsString()
  @ApiProperty({ ...NEW_PASSWORD_SCHEMA, example: 'an even longer and unlikelier one' })
  readonly new_password!: string;
}

export class UndoDto {
  @IsString()
  @ApiProperty({ description: 'Of the link, after `#email_change_undo=`.', example: exampleOf('eu1') })
  readonly token!: string;
}

/** Either `ticket` and `code`, or `token`. */
export class MailboxProofDto {
  @ValidateIf(isSent('ticket'))
  @IsString()
  @ApiPropertyOptional({ description: 'What the request for the mail was answered with.', example: exampleOf('ec1') })
  readonly ticket?: string;

  @ValidateIf(isSent('code'))
  @IsString()
  @ApiPropertyOptional({ description: 'The eight digits of the mail; five wrong ones end it.', example: '20519463' })
  readonly code?: string;

  @ValidateIf(isSent('token'))
  @IsString()
  @ApiPropertyOptional({
    description: "Of the mail's link, after `#` and the purpose; sent without `ticket` and `code`.",
    example: exampleOf('el1'),
  })
  readonly token?: string;
}

/** Either `ticket` and `code`, or `token` and `password`. */
export class RegistrationProofDto extends MailboxProofDto {
  @ValidateIf(isSent('password'))
  @IsString()
  @ApiPropertyOptional({ ...NEW_PASSWORD_SCHEMA, example: 'a long and unlikely sentence' })
  readonly password?: string;
}

/** The client's half of what was mailed. */
export class MailTicketDto {
  @ApiProperty({ description: 'Good for nothing without the code of the mail.', example: exampleOf('ec1') })
  readonly ticket!: string;

  @ApiProperty({ type: 'integer', description: 'Seconds from now until it expires.', example: 3600 })
  readonly expires_in!: number;
}

/** The answer that says nothing. */
export class EmptyDto {}

export function toMailTicketDto({ token, expiresInSeconds }: MailTicket): MailTicketDto {
  return { ticket: token, expires_in: expiresInSeconds };
}
