import { randomUUID } from 'node:crypto';
import type { FaultAnswer, FaultBody } from '../contract.js';
import { TestProblem } from './problems.mjs';
import { matchesPath } from './journal.mjs';

export type Fault = FaultBody & FaultAnswer;

interface Entry {
  readonly id: string;
  readonly description: FaultBody;
  hits: number;
  /** Requests that it matches, also those that it lets pass first. */
  seen: number;
}

const MOST_FAULTS = 100;

/** What goes wrong between the clients and the application of a namespace. */
export class Faults {
  private readonly byId = new Map<string, Entry>();

  /** @throws TestProblem */
  add(description: FaultBody): Fault {
    if (this.byId.size >= MOST_FAULTS) {
      throw new TestProblem(409, 'too_many_faults', `There are ${MOST_FAULTS} faults; remove some, or reset.`);
    }
    if (description.cut !== undefined && (description.status !== undefined || description.code !== undefined)) {
      throw new TestProblem(400, 'validation_failed', 'A fault cuts or answers; leave out cut, or status and code.');
    }
    const entry: Entry = { id: randomUUID(), description, hits: 0, seen: 0 };
    this.byId.set(entry.id, entry);
    return faultOf(entry);
  }

  list(): readonly Fault[] {
    return [...this.byId.values()].map(faultOf);
  }

  /** @throws TestProblem when there is none of this id */
  get(id: string): Fault {
    const entry = this.byId.get(id);
    if (entry === undefined) {
      throw new TestProblem(404, 'fault_unknown', 'There is no fault of this id; a reset removes all of them.');
    }
    return faultOf(entry);
  }

  /** @throws TestProblem when there is none of this id */
  remove(id: string): Fault {
    const fault = this.get(id);
    this.byId.delete(id);
    return fault;
  }

  clear(): void {
    this.byId.clear();
  }

  /** Returns the first fault that is to be applied to this request, and counts it. */
  hit(method: string, path: string): Fault | undefined {
    for (const entry of this.byId.values()) {
      const { description } = entry;
      const isMeant =
        (description.method === undefined || description.method === method) &&
        (description.path === undefined || matchesPath(description.path, path)) &&
        entry.hits < (description.times ?? Infinity);
      if (!isMeant) {
        continue;
      }
      entry.seen += 1;
      if (entry.seen > (description.skip ?? 0)) {
        entry.hits += 1;
        return faultOf(entry);
      }
    }
    return undefined;
  }
}

function faultOf({ id, description, hits }: Entry): Fault {
  return { id, ...description, hits };
}
