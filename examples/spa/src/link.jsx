import { useLayoutEffect, useRef } from 'preact/hooks';
import { call } from './api.js';
import { Mark } from './app.jsx';
import { signInBy } from './factors.js';
import { FIELDS, Form } from './form.jsx';
import { account, closeLink } from './mail.js';
import { describeMailProblem } from './problems.js';

const PAGES = {
  registration: {
    title: 'Create your account',
    text: 'For the address that this link was sent to. If you have not asked for an account, close this page.',
    fields: [FIELDS.chosenPassword],
    button: 'Create account',
    busy: 'Creating…',
    act: ({ token }, { password }) => account.completeSignUp({ token, password }),
  },
  password_reset: {
    title: 'Choose a new password',
    text: 'Every session of your account ends, on all devices.',
    fields: [FIELDS.newPassword],
    button: 'Set new password',
    busy: 'Setting…',
    act: ({ token }, { new_password: newPassword }) => account.resetPassword({ token, newPassword }),
    done: 'Your new password is set. Sign in with it.',
    mayEndSession: true,
  },
  email_change: {
    title: 'Use your new e-mail address',
    text: 'From then on you sign in with the address that this link was sent to. Every session ends, except the one that has asked.',
    button: 'Use this address',
    busy: 'Changing…',
    act: ({ token }) => account.confirmEmail({ token }),
    done: 'Your e-mail address is changed.',
    mayEndSession: true,
  },
  email_change_undo: {
    title: 'Take your old e-mail address back',
    text:
      'Your account gets the address that this link was sent to. Every session ends, and the password no longer works: ' +
      'another mail lets you choose a new one.',
    button: 'Take it back',
    busy: 'Taking it back…',
    act: ({ token }) => account.undoEmailChange({ token }),
    done: 'Your account has its old address. Choose a new password with the link that is on its way to it.',
    mayEndSession: true,
  },
  sign_in_code: {
    title: 'Sign in',
    text: 'To the account that this link was sent to, in this browser.',
    button: 'Sign in',
    busy: 'Signing in…',
    act: ({ token }) => signInBy(() => account.signInWithCode({ token })),
  },
  email_verification: {
    title: 'Confirm your e-mail address',
    text: 'You show that the mails to this address reach you.',
    button: 'Confirm',
    busy: 'Confirming…',
    act: ({ token }) => account.verifyEmail({ token }),
    done: 'Your e-mail address is confirmed.',
  },
};

/** Only the session that has asked may go on with these: the mailbox alone is half of the proof. */
export function needsSession({ purpose }) {
  return purpose === 'email_change' || purpose === 'email_verification';
}

/**
 * What a link of a mail is for, and a button. Nothing happens before it is pressed, because programs that check mails open links
 * as well.
 */
export function LinkPage({ link }) {
  const { title, text, act, done, mayEndSession, ...form } = PAGES[link.purpose];
  const heading = useRef(null);
  useLayoutEffect(() => heading.current?.focus(), []);

  async function submit(values) {
    await act(link, values);
    if (mayEndSession) {
      // Whether the session that is here was one of them, only the service knows.
      await call('/auth/me').catch(() => undefined);
    }
    closeLink(done);
  }

  return (
    <div class="entrance link-page">
      <main class="card entrance-card">
        <p class="brand">
          <Mark /> Toolroom
        </p>
        <h1 tabIndex={-1} ref={heading}>
          {title}
        </h1>
        <p class="lead">{text}</p>
        <Form {...form} onSubmit={submit} describe={(problem) => describeMailProblem(problem, 'link')} />
        <p class="switch">
          <button type="button" class="link" onClick={() => closeLink()}>
            Not now
          </button>
        </p>
      </main>
    </div>
  );
}
