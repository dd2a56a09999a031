import { useLayoutEffect, useRef } from 'preact/hooks';
import { call } from './api.js';
import { factors, passkeys, useWishedStepUp } from './factors.js';
import { Proof } from './proof.jsx';
import { client } from './session.js';

/**
 * Asks the user to prove again who is there, while an action waits for it.
 *
 * @param email of the user
 * @param owned as `/auth/factors` has it, undefined where the service has no factors
 * @param onSessionsChanged is called when that has replaced the session
 */
export function StepUp(props) {
  const wished = useWishedStepUp();
  return wished === undefined ? null : <StepUpDialog {...props} {...wished} />;
}

function StepUpDialog({ email, owned, onSessionsChanged, done, cancel }) {
  const dialog = useRef(null);
  useLayoutEffect(() => dialog.current?.showModal(), []);

  async function byCode(proof) {
    if (owned === undefined) {
      await signInAgain(email, proof);
      onSessionsChanged();
    } else {
      await factors.stepUp(proof);
    }
    done();
  }

  async function byPasskey() {
    await passkeys.stepUp();
    done();
  }

  return (
    // Escape closes it as well.
    <dialog class="card" ref={dialog} aria-labelledby="step-up" onClose={cancel}>
      <h2 id="step-up">Is it you?</h2>
      <p class="lead">
        You signed in a while ago. Prove that it is you, so that no one changes your account on a screen that you left
        open.
      </p>
      <Proof kinds={kindsOf(owned)} byCode={byCode} byPasskey={byPasskey}>
        <button type="button" class="link" onClick={cancel}>
          Cancel
        </button>
      </Proof>
    </dialog>
  );
}

function kindsOf({ totp = null, passkeys: keys = [] } = {}) {
  const kinds = [...(totp === null ? [] : ['totp']), ...(keys.length > 0 ? ['passkey'] : [])];
  return kinds.length > 0 ? [...kinds, 'recovery_code'] : ['password'];
}

/** A service without factors has no step-up: another session takes the place of the one that was here. */
async function signInAgain(email, { password }) {
  const before = await call('/auth/sessions');
  await client.signIn({ email, password });
  const { id } = before.sessions.find(({ current }) => current);
  await call(`/auth/sessions/${id}`, { method: 'DELETE' });
}
