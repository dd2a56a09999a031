import { describe, expect, it } from 'vitest';
import { PassThrough } from 'node:stream';
import { generatePassword, readNewPassword } from './password-input.js';
import type { Terminal } from './terminal.js';

class FakeKeyboard extends PassThrough {
  readonly isTTY = true;

  setRawMode(): this {
    return this;
  }
}

/** Answers each question by the next of `lines`, as typed keys. */
function terminalWhere(lines: readonly string[]): { terminal: Terminal; screen: () => string } {
  const input = new FakeKeyboard();
  const output = new PassThrough();
  const shown: string[] = [];
  const answers = [...lines];
  output.on('data', (chunk: Buffer) => {
    shown.push(chunk.toString());
    if (chunk.toString().endsWith(': ')) {
      input.write(answers.shift() ?? '');
    }
  });
  return { terminal: { input, output }, screen: () => shown.join('') };
}

function pipeOf(...chunks: readonly (string | Buffer)[]): Terminal {
  const input = new PassThrough();
  for (const chunk of chunks) {
    input.write(chunk);
  }
  return { input, output: new PassThrough() };
}

const neverInterrupted = new AbortController().signal;

describe('a password typed in a terminal', () => {
  it('is asked for twice and shown at no time', async () => {
    const { terminal, screen } = terminalWhere(['grün und\t42\r', 'grün und\t42\r']);
    expect(await readNewPassword(terminal, neverInterrupted)).toBe('grün und\t42');
    expect(screen()).toBe('New password: \nThe same again: \n');
  });

  it('can be corrected while it is typed', async () => {
    const { terminal } = terminalWhere(['abx\u007fc\r', 'abc\r']);
    expect(await readNewPassword(terminal, neverInterrupted)).toBe('abc');
  });

  it('is refused when the two differ', async () => {
    const { terminal } = terminalWhere(['one thing\r', 'another\r']);
    await expect(readNewPassword(terminal, neverInterrupted)).rejects.toThrow('The two passwords differ');
  });

  it.each([
    ['Ctrl-C', 'half\u0003'],
    ['Ctrl-D', '\u0004'],
  ])('is given up on %s', async (_, keys) => {
    const { terminal } = terminalWhere([keys]);
    await expect(readNewPassword(terminal, neverInterrupted)).rejects.toThrow('Interrupted');
  });

  it('is given up on a signal', async () => {
    const { terminal } = terminalWhere([]);
    const interruption = new AbortController();
    const password = readNewPassword(terminal, interruption.signal);
    interruption.abort();
    await expect(password).rejects.toThrow('Interrupted');
  });
});

describe('a password on standard input', () => {
  it.each([
    ['with a newline', ['a b c\n']],
    ['with the newline of Windows', ['a b c\r\n']],
    ['in pieces', ['a b', ' c', '\n']],
    ['with more lines behind it', ['a b c\nd\n']],
  ])('is the first line, %s', async (_, chunks) => {
    expect(await readNewPassword(pipeOf(...chunks), neverInterrupted)).toBe('a b c');
  });

  it('is complete at the end of the input, and keeps every space', async () => {
    const terminal = pipeOf('  spaced  ');
    (terminal.input as PassThrough).end();
    expect(await readNewPassword(terminal, neverInterrupted)).toBe('  spaced  ');
  });

  it('may have its characters cut in two by the pipe', async () => {
    const bytes = Buffer.from('grün\n');
    expect(await readNewPassword(pipeOf(bytes.subarray(0, 3), bytes.subarray(3)), neverInterrupted)).toBe('grün');
  });

  it.each([
    ['nothing', [''], 'There is no password'],
    ['an empty line', ['\n'], 'There is no password'],
    ['another encoding than UTF-8', [Buffer.from('gr\u00fcn\n', 'latin1')], 'not UTF-8'],
    ['a whole file', ['x'.repeat(20_000)], 'more than a password'],
  ])('is refused when it is %s', async (_, chunks, sentence) => {
    const terminal = pipeOf(...chunks);
    (terminal.input as PassThrough).end();
    await expect(readNewPassword(terminal, neverInterrupted)).rejects.toThrow(sentence);
  });

  it('is given up on a signal while it has not come whole', async () => {
    const interruption = new AbortController();
    const password = readNewPassword(pipeOf('half a li'), interruption.signal);
    interruption.abort();
    await expect(password).rejects.toThrow('Interrupted');
  });
});

describe('a generated password', () => {
  it('has 192 bits or more, is as long as the rules ask, and is another one each time', () => {
    expect(generatePassword(8)).toMatch(/^[\w-]{32}$/);
    expect(generatePassword(64)).toMatch(/^[\w-]{64}$/);
    expect(generatePassword(8)).not.toBe(generatePassword(8));
  });
});
