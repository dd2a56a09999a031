import { existsSync } from 'node:fs';
import { startApache } from '../support/gateway-apache.js';
import { isInstalled } from '../support/gateway-process.js';
import { describeGateway } from '../support/gateway-scenario.js';

describeGateway('Apache httpd as a resource server', {
  isInstalled: isInstalled('apache2', '-v') && existsSync('/usr/lib/apache2/modules/mod_auth_openidc.so'),
  start: startApache,
  traits: {
    asksRatchet: false,
    tellsExpiry: false,
    // `Require claim` compares no age.
    demandsStepUp: false,
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
  },
});
