import { Script } from 'node:vm';
import { Eta } from 'eta/core';
import { messageOf } from '../platform/common/message-of.js';

/** What a template sees as `it`. */
export type TemplateValues = Readonly<Record<string, string | number>>;

export type CompiledTemplate = (values: TemplateValues) => string;

/** A template cannot be compiled, or does not fit what its mail has. `message` names the file and the line. */
export class MailTemplateError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'MailTemplateError';
  }
}

const SETTINGS = {
  // In HTML and text alike: a value that is missing would be shown as "undefined".
  autoFilter: true,
  filterFunction: textOf,
  // Otherwise a line that ends with a value runs into the next one.
  autoTrim: false,
  // Keeps count of lines.
  debug: true,
} as const;

const engines = {
  html: new Eta({ ...SETTINGS, autoEscape: true }),
  text: new Eta({ ...SETTINGS, autoEscape: false }),
};

/**
 * Compiles a template. It is a program of the operator's, as trusted as the configuration; what users and clients sent is
 * never part of it and reaches it as values, which it cannot change.
 *
 * @param file for messages; `.html.eta` at its end makes values escaped
 * @throws MailTemplateError here for what does not parse, and in the compiled template for a value that its mail does not
 *   have
 */
export function compileTemplate(file: string, source: string): CompiledTemplate {
  const engine = engines[file.endsWith('.html.eta') ? 'html' : 'text'];
  let compiled: ReturnType<typeof engine.compile>;
  try {
    compiled = engine.compile(source);
  } catch {
    throw new MailTemplateError(`${file}: ${syntaxErrorOf(() => engine.compileToString(source))}`);
  }
  return (values) => {
    try {
      return compiled.call(engine, onlyWhatThereIs(values), { filepath: file });
    } catch (error) {
      const [, line = '?'] = /^.*:([0-9]+)\n/.exec(messageOf(error)) ?? [];
      throw new MailTemplateError(`${file}: ${messageOf((error as Error).cause ?? error)} at line ${line}`);
    }
  };
}

function textOf(value: unknown): string {
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw new TypeError(`a value of the type ${typeof value} cannot be shown`);
  }
  return String(value);
}

function onlyWhatThereIs(values: TemplateValues): TemplateValues {
  return new Proxy(Object.freeze({ ...values }), {
    get(target, member) {
      if (typeof member === 'string' && !Object.hasOwn(target, member)) {
        throw new TypeError(`this mail has no it.${member}, only ${Object.keys(target).join(', ')}`);
      }
      return Reflect.get(target, member) as unknown;
    },
  });
}

/** The engine names the line of a tag that is left open. For JavaScript V8 does, in a program that says where its lines are from. */
function syntaxErrorOf(toProgram: () => string): string {
  let program = '';
  try {
    program = toProgram();
    new Script(`(function () {${program}\n})`, { filename: 'template' });
    return 'it does not compile';
  } catch (error) {
    const [, programLine] = /^template:([0-9]+)/.exec((error as Error).stack ?? '') ?? [];
    const before = program.split('\n').slice(0, Number(programLine)).join('\n');
    const [, line] = [...before.matchAll(/^__eta\.line=([0-9]+)$/gm)].at(-1) ?? [];
    const [reason = ''] = messageOf(error).split(/:?\n/, 1);
    return line === undefined ? reason : `${reason} at line ${line}`;
  }
}
