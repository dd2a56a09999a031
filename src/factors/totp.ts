import { randomBytes } from 'node:crypto';
import { generateURI, ScureBase32Plugin, verifySync } from 'otplib';

/** What RFC 4226 section 4 recommends, and the length of a SHA-1 output. */
const SECRET_BYTES = 20;

const STEP_SECONDS = 30;

const CODE_SHAPE = /^[0-9]{6}$/;

const base32 = new ScureBase32Plugin();

/** Makes the secret that an authenticator app and the service share. */
export function newTotpSecret(): Buffer {
  return randomBytes(SECRET_BYTES);
}

/**
 * Returns the time step of a code (RFC 6238: SHA-1, six digits, 30 seconds) if it is that of now or the one before or
 * after, and later than the last that was used. Compares in constant time.
 *
 * @param code any text
 * @param nowSeconds since the epoch, by the database's clock
 * @returns undefined for a wrong code, and for text that is none
 */
export function stepOfTotp(
  code: string,
  { secret, lastStep, nowSeconds }: { readonly secret: Buffer; readonly lastStep: number; readonly nowSeconds: number },
): number | undefined {
  const newestStep = Math.floor(nowSeconds / STEP_SECONDS) + 1;
  // Where the clock has gone back behind the last use, no step is later; the library would throw.
  if (!CODE_SHAPE.test(code) || lastStep >= newestStep) {
    return undefined;
  }
  const verified = verifySync({
    token: code,
    secret,
    epoch: nowSeconds,
    period: STEP_SECONDS,
    epochTolerance: STEP_SECONDS,
    afterTimeStep: lastStep,
  });
  return verified.valid && 'timeStep' in verified ? verified.timeStep : undefined;
}

/** Returns the secret as a person types it into an app. */
export function textOfTotpSecret(secret: Buffer): string {
  return base32.encode(secret, { padding: false });
}

/**
 * Returns the URI that an app reads from a QR code.
 *
 * @param issuer without a colon, which separates it from the account
 */
export function otpauthUri(
  secret: Buffer,
  { issuer, account }: { readonly issuer: string; readonly account: string },
): string {
  return generateURI({ issuer, label: account, secret: textOfTotpSecret(secret) });
}
