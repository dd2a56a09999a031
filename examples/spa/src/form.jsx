import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { describeProblem } from './problems.js';

const EMAIL = { type: 'email', missing: 'Please type an e-mail address.', wrong: 'This is not an e-mail address.' };
const NEW_PASSWORD = {
  label: 'Password',
  type: 'password',
  autocomplete: 'new-password',
  hint: 'Eight characters or more. A sentence that only you know is best.',
  missing: 'Please type a password.',
};

/** What people type. `name` is the service's, which says what is wrong with each. */
export const FIELDS = {
  // Browsers that can offer passkeys at this field.
  email: { ...EMAIL, name: 'email', label: 'E-mail address', autocomplete: 'username webauthn' },
  newEmail: { ...EMAIL, name: 'new_email', label: 'New e-mail address', autocomplete: 'email' },
  password: {
    name: 'password',
    label: 'Password',
    type: 'password',
    autocomplete: 'current-password',
    missing: 'Please type your password.',
  },
  chosenPassword: { ...NEW_PASSWORD, name: 'password' },
  newPassword: { ...NEW_PASSWORD, name: 'new_password', label: 'New password' },
  code: {
    name: 'code',
    label: 'Code',
    type: 'text',
    inputmode: 'numeric',
    autocomplete: 'one-time-code',
    missing: 'Please type the code.',
    wrong: 'A code has eight digits.',
  },
  totp: {
    name: 'code',
    label: 'Code of the app',
    type: 'text',
    inputmode: 'numeric',
    autocomplete: 'one-time-code',
    missing: 'Please type the code.',
  },
  recoveryCode: {
    name: 'code',
    label: 'Recovery code',
    type: 'text',
    autocomplete: 'off',
    missing: 'Please type a code.',
  },
  passkeyName: { name: 'name', label: 'Name', type: 'text', autocomplete: 'off', missing: 'Please type a name.' },
};

/**
 * A form that a script sends, and that says what is wrong with it where it is wrong.
 *
 * @param onSubmit gets the values by name. What it throws is shown, and what was typed stays.
 * @param describe a sentence for what is thrown, unless it belongs to a field
 * @param blame the code of a problem that belongs to a field, and the name of that field: it gets the focus
 * @param hasFocus whether its first field has the focus from the start
 */
export function Form({
  fields = [],
  button,
  busy,
  initial = {},
  onSubmit,
  describe = describeProblem,
  blame = {},
  ...rest
}) {
  const { hasFocus = false, onInput } = rest;
  const form = useRef(null);
  const [isBusy, setBusy] = useState(false);
  const [problem, setProblem] = useState();
  const waitSeconds = useCountdown(problem);
  const wrong = fieldProblemsOf(problem, fields);

  // Before the next key is pressed, which would go elsewhere.
  useLayoutEffect(() => {
    if (hasFocus) {
      form.current?.querySelector('input')?.focus();
    }
  }, []);
  useLayoutEffect(() => {
    const blamed = blame[problem?.code];
    form.current?.querySelector(blamed === undefined ? '[aria-invalid="true"]' : `[name="${blamed}"]`)?.focus();
  }, [problem]);

  async function submit(event) {
    event.preventDefault();
    if (isBusy) {
      return;
    }
    const values = Object.fromEntries(new FormData(event.currentTarget));
    const missing = Object.keys(values).filter((field) => values[field] === '');
    if (missing.length > 0) {
      const errors = missing.map((field) => ({ field, message: 'is missing' }));
      setProblem({ code: 'validation_failed', problem: { errors } });
      return;
    }
    setBusy(true);
    setProblem(undefined);
    try {
      await onSubmit(values);
    } catch (error) {
      setProblem(error);
    }
    setBusy(false);
  }

  return (
    // `post`, so that a password never stands in an address, even where no script runs.
    <form method="post" noValidate onSubmit={submit} onInput={onInput} ref={form} aria-busy={isBusy}>
      {fields.map((field) => (
        <Field key={field.name} {...field} initial={initial[field.name]} problem={wrong[field.name]} />
      ))}
      <p class="problem form-problem" role="alert">
        {problem !== undefined && Object.keys(wrong).length === 0 && describe(problem)}
      </p>
      <button type="submit" class="primary" disabled={waitSeconds > 0}>
        {waitSeconds > 0 ? `Try again in ${asClock(waitSeconds)}` : isBusy ? busy : button}
      </button>
    </form>
  );
}

function Field({ name, label, type, hint, initial, problem, autocomplete, inputmode }) {
  const [isShown, setShown] = useState(false);
  const input = (
    <input
      id={name}
      name={name}
      type={isShown ? 'text' : type}
      defaultValue={initial}
      autocomplete={autocomplete}
      inputmode={inputmode}
      autocapitalize="none"
      spellcheck={false}
      aria-invalid={problem !== undefined}
      aria-describedby={`${name}-problem ${name}-hint`}
    />
  );
  return (
    <div class="field">
      <label for={name}>{label}</label>
      {type === 'password' ? (
        <div class="password">
          {input}
          <button type="button" class="link" aria-pressed={isShown} onClick={() => setShown(!isShown)}>
            {isShown ? 'Hide' : 'Show'}
            <span class="unseen"> the password</span>
          </button>
        </div>
      ) : (
        input
      )}
      <p class="problem" id={`${name}-problem`}>
        {problem}
      </p>
      {hint !== undefined && (
        <p class="hint" id={`${name}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}

/** @returns a sentence for each field that the service, or the page, does not accept */
function fieldProblemsOf(problem, fields) {
  const errors = problem?.code === 'validation_failed' ? (problem.problem?.errors ?? []) : [];
  return Object.fromEntries(
    fields.flatMap(({ name, label, missing, wrong }) => {
      const error = errors.find(({ field }) => field === name);
      const own = error?.message === 'is missing' ? missing : wrong;
      return error === undefined ? [] : [[name, own ?? `The ${label.toLowerCase()} ${error.message}.`]];
    }),
  );
}

/** @returns whole seconds until the service accepts an attempt again, 0 if it does now */
function useCountdown(problem) {
  const [seconds, setSeconds] = useState(0);
  useLayoutEffect(() => {
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
