import { useEffect, useRef, useState } from 'preact/hooks';
import { Mark } from './app.jsx';
import { describeProblem } from './problems.js';
import { client } from './session.js';

const PURPOSES = {
  signIn: { title: 'Sign in', button: 'Sign in', busy: 'Signing in…', autocomplete: 'current-password' },
  signUp: { title: 'Create an account', button: 'Create account', busy: 'Creating…', autocomplete: 'new-password' },
};

/**
 * @param notice why the last session has ended, if that is not what the person here wanted
 * @param isNext whether the page showed something else before
 */
export function SignIn({ notice, isNext }) {
  const [purpose, setPurpose] = useState('signIn');
  const heading = useRef(null);
  // Screen readers announce what has the focus, and so that the view has changed.
  useEffect(() => {
    if (isNext) {
      heading.current?.focus();
    }
  }, [isNext]);
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
          {PURPOSES[purpose].title}
        </h1>
        {notice !== undefined && (
          <p class="notice" role="status">
            {notice}
          </p>
        )}
        <Credentials key={purpose} purpose={purpose} />
        <p class="switch">
          {purpose === 'signIn' ? 'New here?' : 'Do you have an account?'}{' '}
          <button type="button" class="link" onClick={() => setPurpose(purpose === 'signIn' ? 'signUp' : 'signIn')}>
            {purpose === 'signIn' ? PURPOSES.signUp.title : PURPOSES.signIn.title}
          </button>
        </p>
      </main>
    </div>
  );
}

function Credentials({ purpose }) {
  const { button, busy, autocomplete } = PURPOSES[purpose];
  const form = useRef(null);
  const [isBusy, setBusy] = useState(false);
  const [isShown, setShown] = useState(false);
  const [problem, setProblem] = useState();
  const waitSeconds = useCountdown(problem);
  const fields = fieldProblemsOf(problem);

  useEffect(() => {
    const wrong = problem?.code === 'invalid_credentials' ? '#password' : '[aria-invalid="true"]';
    form.current?.querySelector(wrong)?.focus();
  }, [problem]);

  async function submit(event) {
    event.preventDefault();
    if (isBusy) {
      return;
    }
    const credentials = Object.fromEntries(new FormData(event.currentTarget));
    const missing = Object.keys(credentials).filter((field) => credentials[field] === '');
    if (missing.length > 0) {
      const errors = missing.map((field) => ({ field, message: 'is missing' }));
      setProblem({ code: 'validation_failed', problem: { errors } });
      return;
    }
    setBusy(true);
    setProblem(undefined);
    try {
      if (purpose === 'signUp') {
        await client.signUp(credentials);
      }
      await client.signIn(credentials);
    } catch (error) {
      setProblem(error);
      setBusy(false);
    }
  }

  return (
    // `post`, so that a password never stands in an address, even where no script runs.
    <form method="post" noValidate onSubmit={submit} ref={form} aria-busy={isBusy}>
      <div class="field">
        <label for="email">E-mail address</label>
        <input
          id="email"
          name="email"
          type="email"
          autocomplete="username"
          autocapitalize="none"
          spellcheck={false}
          aria-invalid={fields.email !== undefined}
          aria-describedby="email-problem"
        />
        <p class="problem" id="email-problem">
          {fields.email}
        </p>
      </div>
      <div class="field">
        <label for="password">Password</label>
        <div class="password">
          <input
            id="password"
            name="password"
            type={isShown ? 'text' : 'password'}
            autocomplete={autocomplete}
            autocapitalize="none"
            spellcheck={false}
            aria-invalid={fields.password !== undefined}
            aria-describedby="password-problem password-hint"
          />
          <button type="button" class="link" aria-pressed={isShown} onClick={() => setShown(!isShown)}>
            {isShown ? 'Hide' : 'Show'}
            <span class="unseen"> the password</span>
          </button>
        </div>
        <p class="problem" id="password-problem">
          {fields.password}
        </p>
        {purpose === 'signUp' && (
          <p class="hint" id="password-hint">
            Eight characters or more. A sentence that only you know is best.
          </p>
        )}
      </div>
      <p class="problem form-problem" role="alert">
        {problem !== undefined && problem.code !== 'validation_failed' && describeProblem(problem)}
      </p>
      <button type="submit" class="primary" disabled={waitSeconds > 0}>
        {waitSeconds > 0 ? `Try again in ${asClock(waitSeconds)}` : isBusy ? busy : button}
      </button>
    </form>
  );
}

const FIELD_TEXTS = {
  email: { missing: 'Please type your e-mail address.', wrong: 'This is not an e-mail address.' },
  password: { missing: 'Please type your password.' },
};

/** @returns a sentence for each field that the service, or the page, does not accept */
function fieldProblemsOf(problem) {
  const errors = problem?.code === 'validation_failed' ? (problem.problem?.errors ?? []) : [];
  return Object.fromEntries(
    errors.map(({ field, message }) => {
      const { missing, wrong } = FIELD_TEXTS[field] ?? {};
      const own = message === 'is missing' ? missing : wrong;
      return [field, own ?? `The ${field} ${message}.`];
    }),
  );
}

/** @returns whole seconds until the service accepts an attempt again, 0 if it does now */
function useCountdown(problem) {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    if (problem?.code !== 'too_many_attempts') {
      setSeconds(0);
      return undefined;
    }
    const endsAtMs = performance.now() + (problem.retryAfterSeconds ?? 1) * 1_000;
    const tick = () => setSeconds(Math.max(0, Math.ceil((endsAtMs - performance.now()) / 1_000)));
    tick();
    const timer = setInterval(tick, 500);
    return () => clearInterval(timer);
  }, [problem]);
  return seconds;
}

function asClock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}
