export const range = (length) => Array.from({ length }, (_, index) => index);
