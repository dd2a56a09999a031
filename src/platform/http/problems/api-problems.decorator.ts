import { applyDecorators } from '@nestjs/common';
import { ApiExtraModels, ApiResponse, getSchemaPath } from '@nestjs/swagger';
import type { ProblemCode } from '../../common/domain.errors.js';
import { PROBLEM_MEDIA_TYPE, type ProblemBody, problemBody } from './problem.js';
import { ProblemDto } from './problem.dto.js';

const EXAMPLE_FIELD_ERROR = { field: 'email', message: 'must be a string' };
const EXAMPLE_REQUEST_ID = '4968080f-7456-416a-92b6-9b9ca50d4b60';

/** Documents the problems a route answers with, grouped by status, each with the very body a client will see. */
export function ApiProblems(...codes: readonly ProblemCode[]): MethodDecorator & ClassDecorator {
  const bodies = codes.map(exampleOf);
  const statuses = [...new Set(bodies.map(({ status }) => status))];
  return applyDecorators(
    ApiExtraModels(ProblemDto),
    ...statuses.map((status) => {
      const ofStatus = bodies.filter((body) => body.status === status);
      return ApiResponse({
        status,
        description: ofStatus.map(({ code, detail }) => `\`${code}\`: ${detail}`).join('\n\n'),
        content: {
          [PROBLEM_MEDIA_TYPE]: {
            schema: { $ref: getSchemaPath(ProblemDto) },
            examples: Object.fromEntries(ofStatus.map((body) => [body.code, { summary: body.title, value: body }])),
          },
        },
      });
    }),
  );
}

/** With the members that an occurrence adds. */
function exampleOf(code: ProblemCode): ProblemBody {
  const body = problemBody(code);
  return {
    ...body,
    ...(code === 'validation_failed' && { errors: [EXAMPLE_FIELD_ERROR] }),
    ...(body.status >= 500 && { request_id: EXAMPLE_REQUEST_ID }),
  };
}
