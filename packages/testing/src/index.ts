// The public API of the package, beside the entries for test runners. Everything else may change without notice.
export type * from './contract.js';
