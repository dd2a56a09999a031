import { useEffect, useRef, useState } from 'preact/hooks';
import { Address } from './address.jsx';
import { call, useResource } from './api.js';
import { Mark } from './app.jsx';
import { deviceOf, relativeTimeOf } from './format.js';
import { describeProblem, isTemporary } from './problems.js';
import { Security } from './security.jsx';
import { client } from './session.js';
import { StepUp } from './step-up.jsx';

/**
 * @param isAway whether the client waits for the service
 * @param notice what the link of a mail has done
 */
export function Home({ isAway, notice }) {
  const account = useResource('/auth/me');
  const orders = useResource('/orders');
  const sessions = useResource('/auth/sessions');
  const owned = useResource('/auth/factors');
  const heading = useRef(null);
  const all = [account, orders, sessions, owned];
  const isWaiting = isAway || all.some(({ error }) => error !== undefined && isTemporary(error));

  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  // Someone who comes back to this tab sees what is, and a session that was ended elsewhere shows itself.
  useEffect(() => {
    const look = () => document.visibilityState === 'visible' && all.forEach(({ reload }) => reload());
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, []);

  return (
    <>
      <header class="bar">
        <p class="brand">
          <Mark /> Toolroom
        </p>
        <button type="button" onClick={() => client.signOut()}>
          Sign out
        </button>
      </header>
      <main class="home">
        <div>
          <h1 tabIndex={-1} ref={heading}>
            Welcome
          </h1>
          <p class="who">
            {account.data === undefined ? 'Looking up your account…' : `Signed in as ${account.data.email}`}
          </p>
        </div>
        {notice !== undefined && (
          <p class="notice" role="status">
            {notice}
          </p>
        )}
        <p class="away" role="status">
          {isWaiting && 'The service does not answer. You stay signed in, and this page tries again by itself.'}
        </p>
        <div class="panels">
          <Orders {...orders} />
          <Sessions {...sessions} />
          <Address {...account} onSessionsChanged={sessions.reload} />
          <Security {...owned} onSessionsChanged={sessions.reload} />
        </div>
        <StepUp email={account.data?.email} owned={owned.data} onSessionsChanged={sessions.reload} />
      </main>
    </>
  );
}

function Orders({ data, error, reload }) {
  return (
    <section class="card" aria-labelledby="orders">
      <div class="card-head">
        <h2 id="orders">Your orders</h2>
        <button type="button" class="quiet" onClick={reload}>
          Reload<span class="unseen"> the orders</span>
        </button>
      </div>
      <Problem error={error} />
      {data === undefined ? (
        <Waiting error={error} />
      ) : (
        <>
          <ul class="rows">
            {data.orders.map(({ id, item }) => (
              <li key={id} class="row">
                <span class="thumb" aria-hidden="true" />
                <span>
                  <strong>{item}</strong>
                  <span class="detail">Order {id}</span>
                </span>
              </li>
            ))}
          </ul>
          <p class="hint">
            From a backend of its own. The gateway asked Ratchet who you are, and told it:{' '}
            <code>{data.identity.user_id}</code>
          </p>
        </>
      )}
    </section>
  );
}

function Sessions({ data, error, reload }) {
  const [message, setMessage] = useState('');
  const [refusal, setRefusal] = useState();
  const heading = useRef(null);

  async function attempt(work) {
    setMessage('');
    setRefusal(undefined);
    try {
      await work();
    } catch (problem) {
      setRefusal(problem);
    }
  }

  const end = ({ id, user_agent }) =>
    attempt(async () => {
      await call(`/auth/sessions/${id}`, { method: 'DELETE' });
      setMessage(`The session of ${deviceOf(user_agent)} has ended.`);
      // The button that had the focus is about to go.
      heading.current?.focus();
      reload();
    });

  return (
    <section class="card" aria-labelledby="sessions">
      <div class="card-head">
        <h2 id="sessions" tabIndex={-1} ref={heading}>
          Your sessions
        </h2>
        <button type="button" class="quiet" onClick={reload}>
          Reload<span class="unseen"> the sessions</span>
        </button>
      </div>
      <Problem error={refusal ?? error} />
      {data === undefined ? (
        <Waiting error={error} />
      ) : (
        <ul class="rows">
          {data.sessions.map((session) => (
            <Session key={session.id} {...session} onEnd={() => end(session)} />
          ))}
        </ul>
      )}
      <p class="message" role="status">
        {message}
      </p>
      <div class="card-foot">
        <p class="hint">Ends every session, this one too, on all devices.</p>
        <button type="button" class="danger" onClick={() => attempt(() => client.signOut({ everywhere: true }))}>
          Sign out everywhere
        </button>
      </div>
    </section>
  );
}

function Session({ current, user_agent, ip_address, last_used_at, onEnd }) {
  const device = deviceOf(user_agent);
  return (
    <li class="row">
      <span class={current ? 'dot live' : 'dot'} aria-hidden="true" />
      <span>
        <strong>{device}</strong>
        {current && <span class="badge">this browser</span>}
        <span class="detail">
          {ip_address ?? 'unknown address'} · <time dateTime={last_used_at}>{relativeTimeOf(last_used_at)}</time>
        </span>
      </span>
      {!current && (
        <button type="button" class="quiet" onClick={onEnd}>
          End<span class="unseen"> the session of {device}</span>
        </button>
      )}
    </li>
  );
}

/** A problem that the bar at the top does not tell already. */
function Problem({ error }) {
  return (
    <p class="problem" role="alert">
      {error !== undefined && !isTemporary(error) && describeProblem(error)}
    </p>
  );
}

function Waiting({ error }) {
  return error === undefined || isTemporary(error) ? <p class="waiting">Loading…</p> : null;
}
