import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { PROBLEM_CATALOGUE } from './problem.catalogue.js';

class FieldErrorDto {
  @ApiProperty({ description: 'Dotted path of the member.', example: 'email' })
  readonly field!: string;

  @ApiProperty({ description: 'What is expected; never the value.', example: 'must be a string' })
  readonly message!: string;
}

/** Documentation only: problems are written by `problem.ts`. */
export class ProblemDto {
  @ApiProperty({ format: 'uri', example: 'urn:ratchet:problem:not_found' })
  readonly type!: string;

  @ApiProperty()
  readonly title!: string;

  @ApiProperty({ type: 'integer' })
  readonly status!: number;

  @ApiProperty()
  readonly detail!: string;

  @ApiProperty({ enum: Object.keys(PROBLEM_CATALOGUE), description: 'Stable; the member to branch on.' })
  readonly code!: string;

  @ApiPropertyOptional({ type: [FieldErrorDto], description: 'With `validation_failed` only.' })
  readonly errors?: FieldErrorDto[];

  @ApiPropertyOptional({ description: 'With a 5xx: the id to quote in a report.' })
  readonly request_id?: string;
}
