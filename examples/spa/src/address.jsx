import { useRef, useState } from 'preact/hooks';
import { confirmed } from './factors.js';
import { FIELDS, Form } from './form.jsx';
import { account, usePendingCode } from './mail.js';
import { describeMailProblem } from './problems.js';
import { TypedCode } from './typed-code.jsx';

/** @param user as `/auth/me` has it, with `reload` */
export function Address({ data: user, reload, onSessionsChanged }) {
  const [view, setView] = useState('closed');
  const [message, setMessage] = useState('');
  const [problem, setProblem] = useState();
  const [pending, setPending] = usePendingCode('email_change', 'email_verification');
  const heading = useRef(null);

  function show(next, said = '') {
    setView(next);
    setMessage(said);
    setProblem(undefined);
    if (next === 'closed') {
      // What had the focus is about to go.
      heading.current?.focus();
    }
  }

  const askForChange = ({ new_email: newEmail }) =>
    confirmed(async () => {
      const ticket = await account.changeEmail({ newEmail });
      setPending({ purpose: 'email_change', email: newEmail, ...ticket });
      setView('closed');
    });

  async function askForVerification() {
    setProblem(undefined);
    try {
      const ticket = await account.requestEmailVerification();
      setPending({ purpose: 'email_verification', email: user.email, ...ticket });
    } catch (error) {
      setProblem(error);
    }
  }

  async function prove(proof) {
    const isChange = pending.purpose === 'email_change';
    await (isChange ? account.confirmEmail(proof) : account.verifyEmail(proof));
    setPending(undefined);
    show('closed', isChange ? 'Your e-mail address is changed.' : 'Your e-mail address is confirmed.');
    reload();
    onSessionsChanged();
  }

  const cancel = (
    <button
      type="button"
      class="link"
      onClick={() => {
        setPending(undefined);
        show('closed');
      }}
    >
      Cancel
    </button>
  );
  const views = {
    change: (
      <>
        <Form
          fields={[FIELDS.newEmail]}
          button="Send a code"
          busy="Sending…"
          hasFocus
          onSubmit={askForChange}
          describe={describeMailProblem}
        />
        <p class="switch">{cancel}</p>
      </>
    ),
  };

  return (
    <section class="card" aria-labelledby="address">
      <div class="card-head">
        <h2 id="address" tabIndex={-1} ref={heading}>
          Your e-mail address
        </h2>
        {pending === undefined && view === 'closed' && (
          <button type="button" class="quiet" onClick={() => show('change')}>
            Change<span class="unseen"> the e-mail address</span>
          </button>
        )}
      </div>
      {user !== undefined && (
        <p class="address">
          {user.email}
          {user.email_verified !== undefined && (
            <span class="badge">{user.email_verified ? 'confirmed' : 'not confirmed'}</span>
          )}
        </p>
      )}
      {pending === undefined ? (
        views[view]
      ) : (
        <TypedCode key={pending.ticket} pending={pending} button="Confirm" busy="Confirming…" act={prove}>
          {cancel}
        </TypedCode>
      )}
      {user?.email_verified === false && pending === undefined && view === 'closed' && (
        <div class="card-foot">
          <p class="hint">Confirm it, so that you can get back in if you forget your password.</p>
          <button type="button" onClick={askForVerification}>
            Confirm this address
          </button>
        </div>
      )}
      <p class="problem" role="alert">
        {problem !== undefined && describeMailProblem(problem)}
      </p>
      <p class="message" role="status">
        {message}
      </p>
    </section>
  );
}
