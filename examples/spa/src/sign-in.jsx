import { canAutofill, hasPasskeys } from '@ratchet/client/passkeys';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Mark } from './app.jsx';
import { passkeys, signInBy } from './factors.js';
import { FIELDS, Form } from './form.jsx';
import { account, usePendingCode } from './mail.js';
import { describeMailProblem, describePasskeyProblem } from './problems.js';
import { client } from './session.js';
import { TypedCode } from './typed-code.jsx';

const VIEWS = {
  signIn: {
    title: 'Sign in',
    button: 'Sign in',
    busy: 'Signing in…',
    fields: [FIELDS.email, FIELDS.password],
    blame: { invalid_credentials: 'password' },
  },
  signUp: {
    title: 'Create an account',
    button: 'Create account',
    busy: 'Creating…',
    fields: [FIELDS.email, FIELDS.chosenPassword],
  },
  code: {
    title: 'Sign in with a code',
    lead: 'You get a mail with a code, and need no password.',
    button: 'Send a code',
    busy: 'Sending…',
    fields: [FIELDS.email],
    describe: describeMailProblem,
  },
  forgot: {
    title: 'Forgot your password?',
    lead: 'You get a mail with a link, with which you choose a new one.',
    button: 'Send a link',
    busy: 'Sending…',
    fields: [FIELDS.email],
    describe: describeMailProblem,
  },
};

const CODES = {
  registration: { title: 'Check your mail', button: 'Create account', busy: 'Creating…', act: 'completeSignUp' },
  sign_in_code: { title: 'Check your mail', button: 'Sign in', busy: 'Signing in…', act: 'signInWithCode' },
};

/**
 * @param notice why the last session has ended, if that is not what the person here wanted, or what a link has done
 * @param isNext whether the page showed something else before
 */
export function SignIn({ notice, isNext }) {
  const [view, setView] = useState('signIn');
  const [said, setSaid] = useState(notice);
  const [pending, setPending] = usePendingCode('registration', 'sign_in_code');
  /** What was typed stays when the view changes. */
  const email = useRef('');
  const heading = useRef(null);
  // Screen readers announce what has the focus, and so that the view has changed.
  useEffect(() => {
    if (isNext) {
      heading.current?.focus();
    }
  }, [isNext]);
  useEffect(() => setSaid(notice), [notice]);

  function show(next, message) {
    setSaid(message);
    setPending(undefined);
    setView(next);
  }

  const actions = {
    signIn: (credentials) => signInBy(() => client.signIn(credentials)),
    signUp: async (credentials) => {
      const made = await client.signUp(credentials);
      if (made.ticket === undefined) {
        await client.signIn(credentials);
      } else {
        setPending({ purpose: 'registration', email: credentials.email, ...made });
      }
    },
    code: async (address) =>
      setPending({ purpose: 'sign_in_code', ...address, ...(await account.requestEmailCode(address)) }),
    forgot: async (address) => {
      await account.forgotPassword(address);
      show('signIn', `If ${address.email} has an account, a mail is on its way. Its link is good for 30 minutes.`);
    },
  };

  const { act, ...code } = CODES[pending?.purpose] ?? {};
  const { title, lead, ...form } = VIEWS[view];
  return (
    <div class="entrance">
      <div class="pitch">
        <p class="brand">
          <Mark /> Toolroom
        </p>
        <p class="headline">Good tools, and a session that holds.</p>
        <ul class="points">
          <li>Your session lives in a cookie that no script can read, not even a hostile one.</li>
          <li>Open as many tabs as you like: they share one session and never sign each other out.</li>
          <li>End a session from any device. It is over everywhere within a second.</li>
        </ul>
      </div>
      <main class="card entrance-card">
        <h1 tabIndex={-1} ref={heading}>
          {pending === undefined ? title : code.title}
        </h1>
        {said !== undefined && (
          <p class="notice" role="status">
            {said}
          </p>
        )}
        {pending === undefined ? (
          <>
            {lead !== undefined && <p class="lead">{lead}</p>}
            <Form
              key={view}
              {...form}
              hasFocus={view !== 'signIn' || email.current !== ''}
              initial={{ email: email.current }}
              onInput={({ target }) => target.name === 'email' && (email.current = target.value)}
              onSubmit={actions[view]}
            />
            {view === 'signIn' && <PasskeySignIn onProblem={setSaid} />}
            <Switches view={view} onChoose={show} />
          </>
        ) : (
          <TypedCode
            key={pending.ticket}
            {...code}
            pending={pending}
            act={async (proof) => {
              await signInBy(() => account[act](proof));
              setPending(undefined);
            }}
          >
            No mail?{' '}
            <button type="button" class="link" onClick={() => show(act === 'completeSignUp' ? 'signUp' : 'code')}>
              Start again
            </button>
          </TypedCode>
        )}
      </main>
    </div>
  );
}

/** The browser offers passkeys at the field for the address, and the button is for those that it does not offer there. */
function PasskeySignIn({ onProblem }) {
  const [isOff, setOff] = useState(!hasPasskeys());
  const [isAsked, setAsked] = useState(false);
  const [round, setRound] = useState(0);

  useEffect(() => {
    const aborter = new AbortController();
    async function ask() {
      if (!isAsked && !(await canAutofill())) {
        return;
      }
      try {
        await passkeys.signIn({ autofill: !isAsked, signal: aborter.signal });
      } catch (error) {
        if (aborter.signal.aborted) {
          return;
        }
        setOff(error.code === 'not_found');
        if (isAsked || error.code === 'second_factor_invalid') {
          onProblem(describePasskeyProblem(error));
          setAsked(false);
          setRound((count) => count + 1);
        }
      }
    }
    if (!isOff) {
      void ask();
    }
    return () => aborter.abort();
  }, [isAsked, round]);

  return isOff ? null : (
    <button type="button" onClick={() => setAsked(true)}>
      Sign in with a passkey
    </button>
  );
}

function Switches({ view, onChoose }) {
  const choice = (next) => (
    <button type="button" class="link" onClick={() => onChoose(next)}>
      {VIEWS[next].title}
    </button>
  );
  return view === 'signIn' ? (
    <ul class="switch switches">
      <li>{choice('forgot')}</li>
      <li>{choice('code')}</li>
      <li>New here? {choice('signUp')}</li>
    </ul>
  ) : (
    <p class="switch">
      {view === 'signUp' && 'Do you have an account? '}
      {choice('signIn')}
    </p>
  );
}
