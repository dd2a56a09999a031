import type { FastifyInstance } from 'fastify';
import { MalformedRequestError, NotFoundError } from '../common/domain.errors.js';
import { type ErrorWriter, writeErrorsAs } from './form-route.js';
import { MethodNotAllowedError } from './problems/http.errors.js';

/**
 * The CORS plugin registers `OPTIONS *`. A request that is no preflight falls through to it and matches no resource.
 */
const CORS_CATCH_ALL = '*';

/**
 * Lists the routes of the application, because Fastify's router cannot tell an unknown path from an unknown method. It
 * only decides between 404 and 405 for requests that the router did not match.
 */
export class RouteTable {
  private readonly methodsByPath = new Map<string, { readonly pattern: RegExp; readonly methods: Set<string> }>();

  /** @param path in the router's syntax: `:name` matches one segment or a part of it, a final `*` everything */
  add(method: string, path: string): void {
    const route = this.methodsByPath.get(path) ?? { pattern: patternOf(path), methods: new Set() };
    route.methods.add(method);
    this.methodsByPath.set(path, route);
  }

  /** @returns sorted; empty when no route has such a path */
  methodsFor(path: string): string[] {
    const methods = new Set<string>();
    for (const route of this.methodsByPath.values()) {
      if (route.pattern.test(path)) {
        route.methods.forEach((method) => methods.add(method));
      }
    }
    return [...methods].sort();
  }
}

/**
 * Refuses an unmatched request before its body is read: 405 with `Allow` where the path exists, else 404.
 * Must be called before any route is registered.
 */
export function refuseUnmatchedRequests(instance: FastifyInstance): void {
  const routes = new RouteTable();
  const writersByPath = new Map<string, ErrorWriter>();
  instance.addHook('onRoute', ({ method, url, config }) => {
    if (config?.contract !== undefined) {
      writersByPath.set(url, config.contract.writeError);
    }
    if (url !== CORS_CATCH_ALL) {
      [method].flat().forEach((each) => {
        routes.add(each, url);
      });
    }
  });
  instance.addHook('onRequest', (request, _reply, done) => {
    const isUnmatched = request.is404 || request.routeOptions.url === CORS_CATCH_ALL;
    const writeError = isUnmatched ? writersByPath.get(pathOf(request.url)) : undefined;
    if (writeError !== undefined) {
      writeErrorsAs(request, writeError);
    }
    done(isUnmatched ? refusalOf(request.url, routes) : undefined);
  });
}

function refusalOf(url: string, routes: RouteTable): Error {
  const path = pathOf(url);
  let methods: string[];
  try {
    methods = routes.methodsFor(decodeURIComponent(path));
  } catch {
    return new MalformedRequestError('the path cannot be decoded');
  }
  return methods.length > 0 ? new MethodNotAllowedError(methods) : new NotFoundError();
}

function pathOf(url: string): string {
  return url.split(/[?#]/, 1)[0] ?? '';
}

function patternOf(path: string): RegExp {
  const source = path
    .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
    .replace(/:\w+/g, '[^/]+')
    .replace(/\*$/, '.*');
  return new RegExp(`^${source}$`);
}
