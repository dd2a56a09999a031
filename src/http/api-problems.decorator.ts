import { applyDecorators } from '@nestjs/common';
import { ApiExtraModels, ApiResponse, getSchemaPath } from '@nestjs/swagger';
import type { ProblemCode } from '../common/domain.errors.js';
import { PROBLEM_MEDIA_TYPE, problemBody } from './problem.js';
import { ProblemDto } from './problem.dto.js';

/** Documents the problems a route answers with, grouped by status, each with the very body a client will see. */
export function ApiProblems(...codes: readonly ProblemCode[]): MethodDecorator & ClassDecorator {
  const bodies = codes.map((code) => problemBody(code));
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
