import { ApiPropertyOptional } from '@nestjs/swagger';
import { IsString, ValidateIf } from 'class-validator';
import { ValidationFailedError } from '../../platform/common/domain.errors.js';
import { PASSWORD_MAX_BYTES } from '../../users/users.types.js';
import type { FactorProof } from './factor-proof.js';
import { FactorProofDto, readFactorProof } from './factor-proof.dto.js';

/** Exactly one of `password`, `totp`, `recovery_code` and `passkey`. */
export class StepUpDto extends FactorProofDto {
  @ValidateIf(({ password }: StepUpDto) => password !== undefined)
  @IsString()
  @ApiPropertyOptional({
    maxLength: PASSWORD_MAX_BYTES,
    description: 'Of a user without a second factor.',
    example: 'a long and unlikely sentence',
  })
  readonly password?: string;
}

export type StepUpProof = FactorProof | { readonly kind: 'password'; readonly password: string };

/** @throws ValidationFailedError for none and for more than one */
export function readStepUpProof(body: StepUpDto): StepUpProof {
  const { password, totp, recovery_code, passkey } = body;
  if (password === undefined) {
    return readFactorProof(body);
  }
  if (totp !== undefined || recovery_code !== undefined || passkey !== undefined) {
    const message = 'exactly one of password, totp, recovery_code and passkey must be sent';
    throw new ValidationFailedError([{ field: 'password', message }]);
  }
  return { kind: 'password', password };
}
