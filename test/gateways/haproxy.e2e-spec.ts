import { startHaproxyAuthRequest, startHaproxyJwtVerify } from '../support/gateway-haproxy.js';
import { isInstalled } from '../support/gateway-process.js';
import { describeGateway } from '../support/gateway-scenario.js';

const isHaproxyInstalled = isInstalled('haproxy', '-v');

describeGateway('HAProxy that asks', {
  isInstalled: isHaproxyInstalled,
  start: startHaproxyAuthRequest,
  traits: { asksRatchet: true },
});

describeGateway('HAProxy with jwt_verify', {
  isInstalled: isHaproxyInstalled,
  start: startHaproxyJwtVerify,
  traits: { asksRatchet: false, tellsMethods: false },
});
