import { useLayoutEffect, useRef } from 'preact/hooks';
import { Mark } from './app.jsx';
import { endPendingSignIn, factors, passkeys, signInBy } from './factors.js';
import { describeProblem } from './problems.js';
import { Proof } from './proof.jsx';

const EXPIRED = 'This took too long. Please start again with your password.';

/** The second step of a sign-in. */
export function SecondStep({ pending }) {
  const { ticket } = pending;
  const heading = useRef(null);
  useLayoutEffect(() => heading.current?.focus(), []);
  return (
    <div class="entrance link-page">
      <main class="card entrance-card">
        <p class="brand">
          <Mark /> Toolroom
        </p>
        <h1 tabIndex={-1} ref={heading}>
          One more step
        </h1>
        <Proof
          kinds={pending.factors}
          byCode={(code) => signInBy(() => factors.completeSignIn({ ticket, ...code }))}
          byPasskey={() => signInBy(() => passkeys.completeSignIn({ ticket }))}
          describe={(problem) => (problem.code === 'ticket_invalid' ? EXPIRED : describeProblem(problem))}
        >
          <button type="button" class="link" onClick={endPendingSignIn}>
            Start again
          </button>
        </Proof>
      </main>
    </div>
  );
}
