import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Equals, IsObject, IsString, Matches, ValidateIf } from 'class-validator';
import {
  type CreationOptions,
  PASSKEY_NAME_MAX_CHARACTERS,
  type RequestOptions,
} from '../../factors/passkeys.types.js';
import { PasskeyProofDto } from './factor-proof.dto.js';
import { PASSKEY_NAME_SCHEMA, PasskeyDto, RECOVERY_CODES_SCHEMA, toPasskeyDto } from './factors.dto.js';
import type { EnrolledPasskey } from './passkey-enrolments.service.js';
import type { BegunCeremony } from './passkey-sign-ins.service.js';

/** Characters are code points; none of them is a control character or ends a line. */
const NAME_SHAPE = new RegExp(`^[^\\p{Cc}\\p{Zl}\\p{Zp}]{1,${PASSKEY_NAME_MAX_CHARACTERS}}$`, 'u');

const NAME_MESSAGE = `must have 1 to ${PASSKEY_NAME_MAX_CHARACTERS} characters, and none that controls or ends a line`;

const isSent =
  (member: string) =>
  (body: object): boolean =>
    (body as Readonly<Record<string, unknown>>)[member] !== undefined;

/** Nothing, or `ticket`, or `step_up`. */
export class PasskeyOptionsRequestDto {
  @ValidateIf(isSent('ticket'))
  @IsString()
  @ApiPropertyOptional({
    description: 'Of the answer `second_factor_required`, for the second step of a sign-in.',
    example: 'lg1.AZr0Q1m9eVYxQd1x2v8pKk7mTt0cJb3nUe5wLh6sGf4aDq2yNi8zRoPjXvCuBkElA',
  })
  readonly ticket?: string;

  @ValidateIf(isSent('step_up'))
  @Equals(true)
  @ApiPropertyOptional({ enum: [true], type: Boolean, description: 'With an access token, for a step-up.' })
  readonly step_up?: true;
}

const ceremonyTicket = {
  description: 'Sent back with what the browser returns; good once, for 300 seconds.',
  example: 'wa1.AZr0Q1m9eVYxQd1x2v8pKk7mTt0cJb3nUe5wLh6sGf4aDq2yNi8zRoPjXvCuBkElA',
};

export class PasskeyRequestOptionsDto {
  @ApiProperty(ceremonyTicket)
  readonly ticket!: string;

  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    description: 'For `PublicKeyCredential.parseRequestOptionsFromJSON` and `navigator.credentials.get`.',
  })
  readonly options!: RequestOptions;
}

export class PasskeyCreationOptionsDto {
  @ApiProperty(ceremonyTicket)
  readonly ticket!: string;

  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    description: 'For `PublicKeyCredential.parseCreationOptionsFromJSON` and `navigator.credentials.create`.',
  })
  readonly options!: CreationOptions;
}

export class PasskeySignInDto extends PasskeyProofDto {}

export class PasskeyRegistrationDto {
  @IsString()
  @ApiProperty(ceremonyTicket)
  readonly ticket!: string;

  @IsObject()
  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    description: 'What `navigator.credentials.create` has returned, as its `toJSON` writes it.',
  })
  readonly credential!: Readonly<Record<string, unknown>>;

  @Matches(NAME_SHAPE, { message: NAME_MESSAGE })
  @ApiProperty(PASSKEY_NAME_SCHEMA)
  readonly name!: string;
}

export class PasskeyNameDto {
  @Matches(NAME_SHAPE, { message: NAME_MESSAGE })
  @ApiProperty(PASSKEY_NAME_SCHEMA)
  readonly name!: string;
}

export class EnrolledPasskeyDto {
  @ApiProperty({ type: PasskeyDto })
  readonly passkey!: PasskeyDto;

  @ApiPropertyOptional({
    ...RECOVERY_CODES_SCHEMA,
    description: 'With the first factor of the user. Each is good once in place of a second factor. Shown once.',
  })
  readonly recovery_codes?: readonly string[];
}

export class RelatedOriginsDto {
  @ApiProperty({ type: [String], example: ['https://example.com', 'https://example.de'] })
  readonly origins!: readonly string[];
}

export function toCeremonyDto<Options>({ ticket, options }: BegunCeremony<Options>): {
  readonly ticket: string;
  readonly options: Options;
} {
  return { ticket, options };
}

export function toEnrolledPasskeyDto({ passkey, recoveryCodes }: EnrolledPasskey): EnrolledPasskeyDto {
  return { passkey: toPasskeyDto(passkey), ...(recoveryCodes !== undefined && { recovery_codes: recoveryCodes }) };
}
