// For `globalSetup` of Jest, with './jest-teardown' for `globalTeardown`.
import { beginRun } from './whole-run.js';

export = beginRun;
