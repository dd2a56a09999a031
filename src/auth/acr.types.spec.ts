import { describe, expect, it } from 'vitest';
import { acrOf, meetsAcr, joinMethods } from './acr.types.js';

describe('acrOf', () => {
  it.each([
    [[], 'aal1'],
    [['pwd'], 'aal1'],
    [['otp'], 'aal1'],
    [['pwd', 'otp'], 'aal1'],
    [['pop', 'user'], 'aal1'],
    [['pwd', 'otp', 'mfa'], 'aal2'],
    [['pwd', 'pop', 'mfa'], 'aal2'],
    [['pwd', 'user', 'mfa'], 'aal2'],
    [['pop', 'user', 'mfa'], 'phr'],
    [['pwd', 'otp', 'pop', 'user', 'mfa'], 'phr'],
    [['pwd', 'later'], 'aal1'],
    [['later', 'mfa'], 'aal2'],
  ])('%j is %s', (amr, acr) => {
    expect(acrOf(amr)).toBe(acr);
  });
});

describe('meetsAcr', () => {
  it.each([
    ['aal1', 'aal1', true],
    ['aal1', 'aal2', false],
    ['aal2', 'aal1', true],
    ['aal2', 'aal2', true],
    ['aal2', 'phr', false],
    ['phr', 'aal2', true],
    ['phr', 'phr', true],
    ['aal3', 'aal1', false],
    ['AAL2', 'aal2', false],
    ['', 'aal1', false],
  ] as const)('%j meets %s: %s', (acr, demanded, expected) => {
    expect(meetsAcr(acr, demanded)).toBe(expected);
  });
});

describe('what was proved in several steps', () => {
  it('is a set in one order, without what this version does not know', () => {
    expect(joinMethods(['pwd'], ['otp', 'mfa'])).toEqual(['pwd', 'otp', 'mfa']);
    expect(joinMethods(['mfa', 'pop', 'sms'], ['pwd', 'pop', 'user'])).toEqual(['pwd', 'pop', 'user', 'mfa']);
    expect(joinMethods()).toEqual([]);
  });
});
