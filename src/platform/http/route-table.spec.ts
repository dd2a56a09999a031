import { describe, expect, it } from 'vitest';
import { RouteTable } from './route-table.js';

describe('RouteTable', () => {
  const routes = new RouteTable();
  routes.add('POST', '/auth/login');
  routes.add('GET', '/auth/sessions/:id');
  routes.add('DELETE', '/auth/sessions/:id');
  routes.add('GET', '/.well-known/keys/:kid.pem');
  routes.add('PURGE', '/auth/verify/*');
  routes.add('GET', '/auth/verify/*');

  it.each([
    ['/auth/login', ['POST']],
    ['/auth/sessions/1', ['DELETE', 'GET']],
    ['/.well-known/keys/k1.pem', ['GET']],
    ['/auth/verify/', ['GET', 'PURGE']],
    ['/auth/verify/a/b', ['GET', 'PURGE']],
    ['/auth/sessions/', []],
    ['/auth/sessions/1/2', []],
    ['/auth/login/', []],
    ['/Auth/login', []],
    ['/xwell-known/keys/k1.pem', []],
    ['/.well-known/keys/k1', []],
  ])('knows the methods of %s', (path, methods) => {
    expect(routes.methodsFor(path)).toEqual(methods);
  });
});
