import { describe, expect, it } from 'vitest';
import { redactFields, redactLine } from './redaction.js';

describe('redactFields', () => {
  it.each([
    'password',
    'current_password',
    'newPassword',
    'refresh_token',
    'access_token',
    'Authorization',
    'cookie',
    'Set-Cookie',
    'idempotency-key',
    'AUTH_SECRET',
    'secrets',
    'password_hash',
    'privateKey',
    'totp',
    'otpauth_uri',
    'recovery_code',
    'recovery_codes',
    'credential',
  ])('hides the value of %s at any depth', (key) => {
    const hidden = { [key]: '[redacted]' };
    expect(redactFields({ [key]: 'planted', deep: [{ er: { [key]: ['planted'] } }] })).toEqual({
      ...hidden,
      deep: [{ er: hidden }],
    });
  });

  it.each(['code', 'key_id', 'access_token_ttl_seconds', 'token_type', 'user_id', 'recovery_codes_left'])(
    'leaves %s readable',
    (key) => {
      expect(redactFields({ [key]: 'value' })).toEqual({ [key]: 'value' });
    },
  );

  it('shows that a secret is absent', () => {
    expect(redactFields({ password: undefined, refresh_token: null })).toEqual({
      password: undefined,
      refresh_token: null,
    });
  });

  it('reduces an error and its causes to members that no driver adds to', () => {
    const cause = Object.assign(new TypeError('inner'), { parameters: ['planted'] });
    const error = Object.assign(new Error('outer', { cause }), { code: '23505', query: 'planted' });
    expect(redactFields({ err: error })).toEqual({
      err: {
        type: 'Error',
        message: 'outer',
        code: '23505',
        stack: error.stack,
        cause: { type: 'TypeError', message: 'inner', stack: cause.stack },
      },
    });
  });

  it('writes no bytes and stops at a cycle', () => {
    const cycle: Record<string, unknown> = { bytes: Buffer.from('planted') };
    cycle['self'] = cycle;
    const text = JSON.stringify(redactFields(cycle));
    expect(text).toContain('[7 bytes]');
    expect(text).toContain('[too deep]');
  });

  it('cuts long strings, wherever they stand', () => {
    const long = 'x'.repeat(100_000);
    const fields = { path: long, list: [long], deep: { at: long }, err: new Error(long) };
    expect(JSON.stringify(redactFields(fields)).length).toBeLessThan(50_000);
  });

  it('does not change the objects that it is given', () => {
    const fields = { nested: { password: 'kept' } };
    redactFields(fields);
    expect(fields).toEqual({ nested: { password: 'kept' } });
  });
});

describe('redactLine', () => {
  const jws = `eyJ${'a'.repeat(40)}.${'b'.repeat(40)}.${'c-_'.repeat(20)}`;

  it.each([
    ['a ticket', `pr1.${'Ab-_'.repeat(16)}Ag`, 'pr1.[redacted]'],
    ['a refresh token', `rt1.${'Ab-_'.repeat(23)}`, 'rt1.[redacted]'],
    ['a JWT', jws, 'eyJ[redacted]'],
    ['a JWT without a signature', `${jws.slice(0, 84)}.`, 'eyJ[redacted]'],
    ['a bearer header', 'Bearer abcdefghijklmnop1234', 'Bearer [redacted]'],
    [
      'a database password',
      'postgres://ratchet:p@ss:w/rd@db:5432/ratchet',
      'postgres://ratchet:[redacted]@db:5432/ratchet',
    ],
    ['a connection string', 'host=db password=hunter2 user=a', 'host=db password=[redacted] user=a'],
    [
      'a TOTP URI',
      'otpauth://totp/Ratchet:ada@example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Ratchet',
      'otpauth://[redacted]',
    ],
    ['a TOTP secret', 'GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ', '[redacted]'],
    ['a recovery code', 'GEZD-GNBV-GY3T-QOJQ', '[redacted]'],
    [
      'what a passkey signs',
      Buffer.from('{"type":"webauthn.get","challenge":""}').toString('base64url'),
      'eyJ[redacted]',
    ],
    ['a password hash', '$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA', '[redacted]'],
    ['the beginning of a JWT', jws.slice(0, 60), 'eyJ[redacted]'],
    ['a private key', '-----BEGIN PRIVATE KEY-----\\nMIGH\\n-----END PRIVATE KEY-----', '[redacted]'],
  ])('hides %s wherever it stands, and keeps the line parseable', (_name, secret, redacted) => {
    const line = JSON.stringify({ msg: `before ${secret} after`, list: [{ at: secret }] });
    expect(JSON.parse(redactLine(line))).toEqual({ msg: `before ${redacted} after`, list: [{ at: redacted }] });
  });

  it('leaves ordinary sentences alone', () => {
    const line = '{"msg":"Bearer tokens of rt1 families, eyJ, http://a:3000/x, password: must be a string"}';
    expect(redactLine(line)).toBe(line);
  });

  it.each([
    'rt1.',
    '-rt1',
    'pr1.',
    'pr1.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
    '-eyJ',
    'eyJaaaaaaaaaaaaaaa-',
    'eyJaaaaaaaaaaaaaaaaa.',
    'Bearer ',
    'Bearer a',
    'Basic\t',
    'postgres://',
    'postgres://a:',
    'postgres://a:@',
    'password=',
    'otpauth://',
    'A',
    'ABCD-',
    'ABCD-ABCD-ABCD-ABC ',
    '$argon2id$',
    '-----BEGIN ',
    '-----BEGIN PRIVATE KEY-----',
    '-----BEGIN PRIVATE KEY----------END ',
    '"',
    '"a":"',
    '"a\\":"',
    '\\"a\\":\\"',
    '\\',
  ])('takes time in proportion to a line that repeats %j', (unit) => {
    const repeated = unit.repeat(Math.ceil(524_288 / unit.length));
    for (const start of ['', '"msg":"', 'Bearer ', 'postgres://', '-----BEGIN PRIVATE KEY-----']) {
      expect(
        cpuMsOf(() => {
          redactLine(start + repeated);
        }),
      ).toBeLessThan(1_000);
    }
  });
});

/**
 * Of half a megabyte: about ten milliseconds where work grows with the line, ten seconds where it grows with its square.
 * Time of the processor, which a busy machine does not stretch.
 */
function cpuMsOf(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}
