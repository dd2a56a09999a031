import { startNginx } from '../support/gateway-nginx.js';
import { isInstalled } from '../support/gateway-process.js';
import { describeGateway } from '../support/gateway-scenario.js';

describeGateway('nginx with auth_request', {
  isInstalled: isInstalled('nginx', '-v'),
  start: startNginx,
  traits: { asksRatchet: true },
});
