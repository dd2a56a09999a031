import { hasPasskeys } from '@ratchet/client/passkeys';
import { useRef, useState } from 'preact/hooks';
import { encode } from 'uqr';
import { confirmed, factors, passkeys } from './factors.js';
import { FIELDS, Form } from './form.jsx';
import { deviceOf, relativeTimeOf } from './format.js';
import { describePasskeyProblem, describeProblem } from './problems.js';

/**
 * The second factors of the user.
 *
 * @param data as `/auth/factors` has it
 * @param onSessionsChanged the first factor ends every other session
 */
export function Security({ data, error, reload, onSessionsChanged }) {
  const [view, setView] = useState({ name: 'list' });
  const [message, setMessage] = useState('');
  const [problem, setProblem] = useState();
  const heading = useRef(null);
  // The service has none.
  if (error?.status === 404) {
    return null;
  }

  function show(next = { name: 'list' }, said = '') {
    setView(next);
    setMessage(said);
    setProblem(undefined);
    // What had the focus is about to go.
    heading.current?.focus();
  }

  function showChange(said, codes = []) {
    show(codes.length > 0 ? { name: 'codes', codes } : undefined, said);
    reload();
    onSessionsChanged();
  }

  /** @param act shows what it has done */
  async function attempt(act) {
    setMessage('');
    setProblem(undefined);
    try {
      await confirmed(act);
    } catch (refusal) {
      setProblem(refusal);
    }
  }

  const acts = {
    addApp: async () => show({ name: 'app', ...(await factors.beginTotp()) }),
    removeApp: async () => {
      await factors.removeTotp();
      showChange('The authenticator app is removed.');
    },
    renewCodes: async () => showChange('Your old recovery codes are void.', await factors.renewRecoveryCodes()),
    removePasskey: (passkey) => async () => {
      await passkeys.remove(passkey);
      showChange(`The passkey “${passkey.name}” is removed here. Remove it from your device too.`);
    },
  };

  const cancel = (
    <button type="button" class="link" onClick={() => show()}>
      Cancel
    </button>
  );
  const views = {
    list: () => (
      <List
        {...data}
        onAddApp={() => attempt(acts.addApp)}
        onAddPasskey={() => show({ name: 'passkey' })}
        onRemoveApp={() => attempt(acts.removeApp)}
        onRemovePasskey={(passkey) => attempt(acts.removePasskey(passkey))}
        onRenamePasskey={(passkey) => show({ name: 'rename', passkey })}
        onRenewCodes={() => attempt(acts.renewCodes)}
      />
    ),
    app: () => (
      <>
        <p class="lead">
          Scan this with your authenticator app, or type the key there. Then type the six digits it shows.
        </p>
        <QrCode text={view.otpauthUri} />
        <p>
          Key: <code>{view.secret.replaceAll(/(.{4})(?=.)/g, '$1 ')}</code>
        </p>
        <Form
          fields={[FIELDS.totp]}
          button="Confirm"
          busy="Confirming…"
          hasFocus
          blame={{ second_factor_invalid: 'code' }}
          onSubmit={async ({ code }) =>
            showChange(
              'Your authenticator app is set up.',
              await factors.confirmTotp({ totp: code.replaceAll(/\s/g, '') }),
            )
          }
        />
        <p class="switch">{cancel}</p>
      </>
    ),
    passkey: () => (
      <>
        <p class="lead">
          A passkey signs you in by your fingerprint, your face, or the PIN of your device. Give it a name that you will
          recognise.
        </p>
        <Form
          fields={[FIELDS.passkeyName]}
          initial={{ name: deviceOf(navigator.userAgent) }}
          button="Create a passkey"
          busy="Waiting for you…"
          hasFocus
          onSubmit={({ name }) =>
            confirmed(async () => {
              const { recoveryCodes } = await passkeys.register({ name });
              showChange(`The passkey “${name}” is ready.`, recoveryCodes);
            })
          }
          describe={describePasskeyProblem}
        />
        <p class="switch">{cancel}</p>
      </>
    ),
    rename: () => (
      <>
        <Form
          fields={[FIELDS.passkeyName]}
          initial={{ name: view.passkey.name }}
          button="Rename"
          busy="Renaming…"
          hasFocus
          onSubmit={async ({ name }) => {
            await passkeys.rename({ id: view.passkey.id, name });
            showChange(`The passkey is called “${name}” now.`);
          }}
        />
        <p class="switch">{cancel}</p>
      </>
    ),
    codes: () => (
      <>
        <p class="notice">
          Save these codes now, on paper or in a password manager. Each gets you in once when your device is lost. They
          are not shown again.
        </p>
        <ol class="codes">
          {view.codes.map((code) => (
            <li key={code}>
              <code>{code}</code>
            </li>
          ))}
        </ol>
        <button type="button" class="primary" onClick={() => show()}>
          I have saved them
        </button>
      </>
    ),
  };

  return (
    <section class="card" aria-labelledby="security">
      <h2 id="security" tabIndex={-1} ref={heading}>
        Two-step sign-in
      </h2>
      {data === undefined ? <p class="waiting">Loading…</p> : views[view.name]()}
      <p class="problem" role="alert">
        {problem !== undefined && describeProblem(problem)}
      </p>
      <p class="message" role="status">
        {message}
      </p>
    </section>
  );
}

function List({ totp, passkeys: keys = [], recovery_codes_left: left, ...on }) {
  const hasFactor = totp !== null || keys.length > 0;
  return (
    <>
      {!hasFactor && <p class="hint">Only your password protects your account. Add something that you have.</p>}
      <ul class="rows">
        {totp !== null && (
          <li class="row">
            <span class="dot live" aria-hidden="true" />
            <span>
              <strong>Authenticator app</strong>
              <span class="detail">{usedAt(totp)}</span>
            </span>
            <button type="button" class="quiet" onClick={on.onRemoveApp}>
              Remove<span class="unseen"> the authenticator app</span>
            </button>
          </li>
        )}
        {keys.map((passkey) => (
          <li key={passkey.id} class="row">
            <span class="dot live" aria-hidden="true" />
            <span>
              <strong>{passkey.name}</strong>
              <span class="detail">
                Passkey · {passkey.backed_up ? 'synchronised' : 'on one device'} · {usedAt(passkey)}
              </span>
            </span>
            <span class="buttons">
              <button type="button" class="quiet" onClick={() => on.onRenamePasskey(passkey)}>
                Rename<span class="unseen"> the passkey {passkey.name}</span>
              </button>
              <button type="button" class="quiet" onClick={() => on.onRemovePasskey(passkey)}>
                Remove<span class="unseen"> the passkey {passkey.name}</span>
              </button>
            </span>
          </li>
        ))}
        {hasFactor && (
          <li class="row">
            <span class={left > 0 ? 'dot live' : 'dot'} aria-hidden="true" />
            <span>
              <strong>Recovery codes</strong>
              <span class="detail">{left === 1 ? 'One is left' : `${left} are left`}</span>
            </span>
            <button type="button" class="quiet" onClick={on.onRenewCodes}>
              Renew<span class="unseen"> the recovery codes</span>
            </button>
          </li>
        )}
      </ul>
      <div class="card-foot">
        {totp === null && (
          <button type="button" onClick={on.onAddApp}>
            Add an authenticator app
          </button>
        )}
        {hasPasskeys() && (
          <button type="button" onClick={on.onAddPasskey}>
            Add a passkey
          </button>
        )}
      </div>
    </>
  );
}

function usedAt({ created_at, last_used_at }) {
  return last_used_at === null ? `added ${relativeTimeOf(created_at)}` : `used ${relativeTimeOf(last_used_at)}`;
}

/** Drawn here, so that the secret goes to no one else. Dark on light in every colour scheme, because cameras need that. */
function QrCode({ text }) {
  const { data, size } = encode(text, { border: 4 });
  const path = data.flatMap((row, y) => row.map((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : ''))).join('');
  return (
    <svg
      class="qr-code"
      viewBox={`0 0 ${size} ${size}`}
      role="img"
      aria-label="The key as a QR code"
      shape-rendering="crispEdges"
    >
      <path d={path} />
    </svg>
  );
}
