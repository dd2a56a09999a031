import { useEffect, useState } from 'preact/hooks';
import { usePendingSignIn } from './factors.js';
import { Home } from './home.jsx';
import { LinkPage, needsSession } from './link.jsx';
import { useOpenedLink } from './mail.js';
import { describeEnding, describeProblem } from './problems.js';
import { SecondStep } from './second-step.jsx';
import { client, useSession } from './session.js';
import { SignIn } from './sign-in.jsx';

const PAUSE_MS = 2_000;

export function App() {
  const session = useSession();
  const { link, notice } = useOpenedLink();
  const pendingSignIn = usePendingSignIn();
  const ending = link && needsSession(link) ? 'Sign in first, to the account that has asked for this mail.' : notice;
  const views = {
    unknown: <Looking isAway={session.isAway} />,
    signed_out: pendingSignIn ? (
      <SecondStep pending={pendingSignIn} />
    ) : (
      <SignIn notice={ending ?? describeEnding(session)} isNext={session.before === 'signed_in'} />
    ),
    signed_in: <Home isAway={session.isAway} notice={notice} />,
  };
  const isLinkShown = link !== undefined && (session.state === 'signed_in' || !needsSession(link));
  return (
    <div class="page">
      {isLinkShown ? <LinkPage key={link.token} link={link} /> : views[session.state]}
      <footer class="colophon">
        Toolroom is a sample. Ratchet keeps its sessions, in cookies that no script can read.
      </footer>
    </div>
  );
}

/** Only the service knows whether there is a session, because no script can see the cookie. */
function Looking({ isAway }) {
  const [problem, setProblem] = useState();
  useEffect(() => {
    let timer;
    const ask = () =>
      client.ready().catch((error) => {
        setProblem(error);
        timer = setTimeout(ask, PAUSE_MS);
      });
    void ask();
    return () => clearTimeout(timer);
  }, []);
  const shown = isAway ? { code: 'unavailable' } : problem;
  return (
    <main class="looking" aria-busy={shown === undefined}>
      <Mark />
      <p role="status">{shown === undefined ? 'Looking for your session…' : describeProblem(shown)}</p>
    </main>
  );
}

export function Mark() {
  return <span class="mark" aria-hidden="true" />;
}
