import { hasPasskeys } from '@ratchet/client/passkeys';
import { useState } from 'preact/hooks';
import { FIELDS, Form } from './form.jsx';
import { describePasskeyProblem, describeProblem } from './problems.js';

const OTHERS = { totp: 'Use the authenticator app', passkey: 'Use a passkey', recovery_code: 'Use a recovery code' };

/**
 * Asks for one of the user's factors: the first of them, until the user chooses another.
 *
 * @param kinds of `totp`, `passkey`, `recovery_code` and `password`
 * @param byCode gets { totp }, { recoveryCode } or { password }
 */
export function Proof({ kinds: all, byCode, byPasskey, describe = describeProblem, children }) {
  const kinds = all.filter((each) => each !== 'passkey' || hasPasskeys());
  const [kind, setKind] = useState(kinds.includes('passkey') ? 'passkey' : kinds[0]);
  const codeForm = { button: 'Go on', busy: 'Checking…', hasFocus: true, describe };
  const wrong = { second_factor_invalid: 'code', invalid_credentials: 'password' };
  const forms = {
    passkey: (
      <>
        <p class="lead">Your browser asks you for your fingerprint, your face, or the PIN of this device.</p>
        <Form
          key="passkey"
          button="Use a passkey"
          busy="Waiting for you…"
          onSubmit={byPasskey}
          describe={(problem) => describePasskeyProblem(problem, describe)}
        />
      </>
    ),
    totp: (
      <>
        <p class="lead">Type the six digits that your authenticator app shows now.</p>
        <Form
          key="totp"
          {...codeForm}
          fields={[FIELDS.totp]}
          blame={wrong}
          onSubmit={({ code }) => byCode({ totp: code.replaceAll(/\s/g, '') })}
        />
      </>
    ),
    recovery_code: (
      <>
        <p class="lead">Type one of the codes that you have saved. It works once.</p>
        <Form
          key="recovery_code"
          {...codeForm}
          fields={[FIELDS.recoveryCode]}
          blame={wrong}
          onSubmit={({ code }) => byCode({ recoveryCode: code })}
        />
      </>
    ),
    password: <Form key="password" {...codeForm} fields={[FIELDS.password]} blame={wrong} onSubmit={byCode} />,
  };
  return (
    <>
      {forms[kind]}
      <ul class="switch switches">
        {kinds
          .filter((each) => each !== kind)
          .map((each) => (
            <li key={each}>
              <button type="button" class="link" onClick={() => setKind(each)}>
                {OTHERS[each]}
              </button>
            </li>
          ))}
        {children !== undefined && <li>{children}</li>}
      </ul>
    </>
  );
}
