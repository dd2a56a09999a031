import type { Route } from './routes.mjs';

const PROBLEM = {
  type: 'object',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string', description: 'Says what to do.' },
    code: { type: 'string' },
    errors: {
      type: 'array',
      items: {
        type: 'object',
        properties: { field: { type: 'string' }, message: { type: 'string' } },
        required: ['field', 'message'],
      },
    },
  },
  required: ['type', 'title', 'status', 'detail', 'code'],
};

const HEADER = { $ref: '#/components/parameters/TestHeader' };

/** Describes the routes from the same table that they are served from. */
export function describeRoutes(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    (paths[route.path] ??= {})[route.method.toLowerCase()] = {
      summary: route.summary,
      operationId: operationId(route),
      parameters: [HEADER, ...pathParameters(route.path), ...queryParameters(route)],
      ...(route.body !== undefined && {
        requestBody: { required: false, content: { 'application/json': { schema: route.body } } },
      }),
      responses: {
        ...Object.fromEntries(
          Object.entries(route.answers).map(([status, { description, schema }]) => [
            status,
            { description, ...(schema !== undefined && { content: { 'application/json': { schema } } }) },
          ]),
        ),
        '4XX': {
          description: 'What was wrong with the request, and what to do.',
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
    };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Ratchet test kit',
      version,
      description: 'Steers a real Ratchet in the tests of other services. Never part of a service in production.',
    },
    paths,
    components: {
      parameters: {
        TestHeader: {
          name: 'X-Ratchet-Test',
          in: 'header',
          required: true,
          description: 'A page in a browser cannot send it to another origin.',
          schema: { type: 'string', enum: ['1'] },
        },
      },
      schemas: { Problem: PROBLEM },
    },
  };
}

function operationId({ method, path }: Route): string {
  const words = path
    .split('/')
    .slice(2)
    .map((segment) => (segment === '{ns}' ? 'namespace' : segment.replace(/[{}]/g, '')));
  return [method.toLowerCase(), ...words.map((word) => word.charAt(0).toUpperCase() + word.slice(1))].join('');
}

function pathParameters(path: string): readonly object[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: name === 'ns' ? { type: 'string', pattern: '^[a-z0-9-]{1,40}$' } : { type: 'string' },
  }));
}

function queryParameters({ query = {} }: Route): readonly object[] {
  return Object.entries(query).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: false,
    description,
    schema,
  }));
}
