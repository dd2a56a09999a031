import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Type } from 'class-transformer';
import { IsObject, IsString, MaxLength, ValidateIf, ValidateNested } from 'class-validator';
import { ValidationFailedError } from '../../platform/common/domain.errors.js';
import type { FactorProof } from './factor-proof.js';

/** Longer than any code with the separators that people type. */
export const LONGEST_CODE_CHARACTERS = 64;

const isSent =
  (member: string) =>
  (body: object): boolean =>
    (body as Readonly<Record<string, unknown>>)[member] !== undefined;

export class PasskeyProofDto {
  @IsString()
  @ApiProperty({
    description: 'What the request for the options was answered with.',
    example: 'wa1.AZr0Q1m9eVYxQd1x2v8pKk7mTt0cJb3nUe5wLh6sGf4aDq2yNi8zRoPjXvCuBkElA',
  })
  readonly ticket!: string;

  @IsObject()
  @ApiProperty({
    type: 'object',
    additionalProperties: true,
    description: 'What `navigator.credentials.get` has returned, as its `toJSON` writes it.',
  })
  readonly credential!: Readonly<Record<string, unknown>>;
}

/** Exactly one of `totp`, `recovery_code` and `passkey`. */
export class FactorProofDto {
  @ValidateIf(isSent('totp'))
  @IsString()
  @MaxLength(LONGEST_CODE_CHARACTERS)
  @ApiPropertyOptional({
    maxLength: LONGEST_CODE_CHARACTERS,
    description: 'The six digits that the authenticator app shows.',
    example: '204815',
  })
  readonly totp?: string;

  @ValidateIf(isSent('recovery_code'))
  @IsString()
  @MaxLength(LONGEST_CODE_CHARACTERS)
  @ApiPropertyOptional({
    maxLength: LONGEST_CODE_CHARACTERS,
    description: 'One of the ten; each is good once.',
    example: 'MFZW-I5DF-NRWG-K4TF',
  })
  readonly recovery_code?: string;

  @ValidateIf(isSent('passkey'))
  @IsObject()
  @ValidateNested()
  @Type(() => PasskeyProofDto)
  @ApiPropertyOptional({ type: PasskeyProofDto })
  readonly passkey?: PasskeyProofDto;
}

/** `ticket`, and exactly one of the others. */
export class SecondStepDto extends FactorProofDto {
  @IsString()
  @ApiProperty({
    description: 'Of the problem `second_factor_required`.',
    example: 'lg1.AZr0Q1m9eVYxQd1x2v8pKk7mTt0cJb3nUe5wLh6sGf4aDq2yNi8zRoPjXvCuBkElA',
  })
  readonly ticket!: string;
}

/** @throws ValidationFailedError for none and for more than one */
export function readFactorProof({ totp, recovery_code, passkey }: FactorProofDto): FactorProof {
  const [proof, ...more] = [
    ...(totp === undefined ? [] : [{ kind: 'totp', code: totp } as const]),
    ...(recovery_code === undefined ? [] : [{ kind: 'recovery_code', code: recovery_code } as const]),
    ...(passkey === undefined
      ? []
      : [{ kind: 'passkey', ticket: passkey.ticket, credential: passkey.credential } as const]),
  ];
  if (proof === undefined || more.length > 0) {
    const message = 'exactly one of totp, recovery_code and passkey must be sent';
    throw new ValidationFailedError([{ field: 'totp', message }]);
  }
  return proof;
}
