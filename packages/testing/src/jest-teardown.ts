// For `globalTeardown` of Jest.
import { endRun } from './whole-run.js';

export = endRun;
