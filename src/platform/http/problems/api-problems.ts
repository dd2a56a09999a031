import { ApiExtension, ApiProperty, ApiPropertyOptional, type ApiResponseNoStatusOptions } from '@nestjs/swagger';
import type { ProblemCode } from '../../common/domain.errors.js';
import { PROBLEM_MEDIA_TYPE, type ProblemBody, problemBody } from './problem.js';
import { PROBLEM_CATALOGUE } from './problem.catalogue.js';

const EXAMPLE_FIELD_ERROR = { field: 'email', message: 'must be a string' };
const EXAMPLE_REQUEST_ID = '4968080f-7456-416a-92b6-9b9ca50d4b60';

const EXAMPLE_SECOND_STEP = {
  ticket: 'lg1.AZr0Q1m9eVYxQd1x2v8pKk7mTt0cJb3nUe5wLh6sGf4aDq2yNi8zRoPjXvCuBkElA',
  expires_in: 300,
  factors: ['totp', 'recovery_code'],
};

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

  @ApiPropertyOptional({
    description: 'With `second_factor_required` of a sign-in: for the second step of it.',
    example: 'lg1.AZr0Q1m9eVYxQd1x2v8pKk7mTt0cJb3nUe5wLh6sGf4aDq2yNi8zRoPjXvCuBkElA',
  })
  readonly ticket?: string;

  @ApiPropertyOptional({
    type: 'integer',
    description: 'With `ticket`: seconds from now until it expires.',
    example: 300,
  })
  readonly expires_in?: number;

  @ApiPropertyOptional({
    type: [String],
    enum: ['totp', 'passkey', 'recovery_code'],
    description: 'With `second_factor_required` only: one of these is to be proved.',
  })
  readonly factors?: string[];

  @ApiProperty({ description: 'The `X-Request-Id` of the answer, to quote in a report.' })
  readonly request_id!: string;
}

/** Where `ApiProblems` and `ApiEdgeProblems` leave their codes; `openapi.document.ts` takes them out again. */
export const PROBLEM_CODES = 'x-problem-codes';
export const EDGE_PROBLEM_CODES = 'x-edge-problem-codes';

/** Documents the problems that a route answers with in addition to those of every route. */
export const ApiProblems = (...codes: readonly ProblemCode[]): MethodDecorator & ClassDecorator =>
  ApiExtension(PROBLEM_CODES, codes);

/** Documents the problems of a route whose other errors have a form of their own, in place of those of every route. */
export const ApiEdgeProblems = (...codes: readonly ProblemCode[]): MethodDecorator & ClassDecorator =>
  ApiExtension(EDGE_PROBLEM_CODES, codes);

export const PROBLEM_SCHEMA = { $ref: `#/components/schemas/${ProblemDto.name}` };

/** Groups problems by status, each with the very body a client will see. */
export function problemsByStatus(codes: readonly ProblemCode[]): Map<number, ApiResponseNoStatusOptions> {
  const bodies = codes.map(exampleOf).sort((one, other) => one.status - other.status);
  return new Map(
    bodies.map(({ status }) => {
      const ofStatus = bodies.filter((body) => body.status === status);
      const examples = Object.fromEntries(ofStatus.map((body) => [body.code, { summary: body.title, value: body }]));
      return [
        status,
        {
          description: ofStatus.map(({ code, detail }) => `\`${code}\`: ${detail}`).join('\n\n'),
          content: { [PROBLEM_MEDIA_TYPE]: { schema: PROBLEM_SCHEMA, examples } },
        },
      ];
    }),
  );
}

/** Adds the members that one occurrence has. */
function exampleOf(code: ProblemCode): ProblemBody {
  const body = problemBody(code);
  return {
    ...body,
    ...(code === 'validation_failed' && { errors: [EXAMPLE_FIELD_ERROR] }),
    ...(code === 'second_factor_required' && EXAMPLE_SECOND_STEP),
    request_id: EXAMPLE_REQUEST_ID,
  };
}
