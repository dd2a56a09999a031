import { startCaddy } from '../support/gateway-caddy.js';
import { isInstalled } from '../support/gateway-process.js';
import { describeGateway } from '../support/gateway-scenario.js';

describeGateway('Caddy with forward_auth', {
  isInstalled: isInstalled('caddy', 'version'),
  start: startCaddy,
  traits: { asksRatchet: true },
});
