import { existsSync } from 'node:fs';
import { startApache } from '../support/gateway-apache.js';
import { isInstalled } from '../support/gateway-process.js';
import { describeGateway } from '../support/gateway-scenario.js';

describeGateway('Apache httpd as a resource server', {
  isInstalled: isInstalled('apache2', '-v') && existsSync('/usr/lib/apache2/modules/mod_auth_openidc.so'),
  start: startApache,
  traits: {
    asksRatchet: false,
    reasonIn: 'nowhere',
    dotSegments: 'resolved',
    statusWithoutRatchet: 200,
    // Nothing that Ratchet ever signs; README.md of the recipe says so.
    accepts: [
      'a token without a key id',
      'a token of another type',
      'a token without a type',
      'a token that never expires',
      'a token with an expiry of another kind',
      'a token that lives too long',
      'a token with a critical extension',
    ],
    // httpd itself refuses an encoded slash or zero byte.
    refusedPaths: {
      '/orders%2f1': 404,
      '/a%2f..%2forders': 404,
      '/auth/..%2forders': 404,
      '/orders%00': 404,
    },
  },
});
