import { FIELDS, Form } from './form.jsx';
import { describeMailProblem } from './problems.js';

/**
 * Asks for the code of a mail that is on its way.
 *
 * @param act gets the ticket and the code, and rejects if they are refused
 */
export function TypedCode({ pending, button, busy, act, children }) {
  return (
    <>
      <p class="lead" role="status">
        A mail with a code is on its way to <strong>{pending.email}</strong>. Type the code here, or open the link in
        the mail.
      </p>
      <Form
        fields={[FIELDS.code]}
        button={button}
        busy={busy}
        hasFocus
        blame={{ code_invalid: 'code' }}
        // People copy spaces along, and type them where the mail has them.
        onSubmit={({ code }) => act({ ticket: pending.ticket, code: code.replaceAll(/\s/g, '') })}
        describe={(problem) => describeMailProblem(problem, 'code')}
      />
      <p class="switch">{children}</p>
    </>
  );
}
