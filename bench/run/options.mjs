import { parseArgs } from 'node:util';

// A wrong option ends the program with one sentence and no stack, before anything is started.

/** @returns the values of the options, as `parseArgs` has them */
export function readOptions(options) {
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    const names = Object.keys(options).map((name) => `--${name}`);
    return refuse(`${error.message.split('. ', 1)[0]}. There are ${names.join(', ')}.`);
  }
}

export function wholeNumber(name, text, least = 1) {
  const number = Number(text);
  return text.trim() !== '' && Number.isSafeInteger(number) && number >= least
    ? number
    : refuse(`--${name} takes a whole number from ${least} on, and not ${text}.`);
}

/** @param text names from `known`, separated by commas */
export function namesOf(name, text, known) {
  const names = text.split(',');
  const unknown = names.find((each) => !known.includes(each));
  return unknown === undefined ? names : refuse(`--${name} knows no ${unknown}, but ${known.join(', ')}.`);
}

function refuse(message) {
  console.error(message);
  return process.exit(1);
}
