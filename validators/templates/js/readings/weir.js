// From Weir's batches, which are in columns, to one value of a reading after the other, and back. Not to be changed; it runs under
// Node as well, so that tests need no WebAssembly.

/**
 * @typedef {{sensor: string, metric: string, unit: string, time: bigint, value: number | boolean | string}} Reading
 *   One value of a reading. `unit` is "" where it has none; `time` is in microseconds since the Unix epoch, UTC.
 * @typedef {{debug(line: string): void, info(line: string): void, warn(line: string): void, error(line: string): void}} Log
 *   Lines for the tenant's own eyes. A call may leave 100 of them.
 */

/** The value is stored as it is. */
export const accept = () => new Verdict();
/** The value is not stored, nor are the others of its reading; the reason is for its sender. */
export const reject = (reason) => new Verdict({ reason });
/** The reading is stored with the quality `suspect`. */
export const suspect = () => new Verdict({ suspicious: true });
/** The value is stored as another one: a number, a boolean or a text. */
export const replace = (value) => new Verdict({ value });

/** What becomes of a value. */
export class Verdict {
  constructor({ reason, suspicious = false, value, unit, derived = [] } = {}) {
    Object.assign(this, { reason, suspicious, value, unit, derived });
  }
  /** The value gets this unit. */
  withUnit(unit) {
    return new Verdict({ ...this, unit });
  }
  /** The reading is stored with the quality `suspect`. */
  withSuspicion() {
    return new Verdict({ ...this, suspicious: true });
  }
  /** The reading gets a further value. */
  derive(metric, unit, value) {
    return new Verdict({ ...this, derived: [...this.derived, { metric, unit, value }] });
  }
}

/** Shows each value of a batch to a validator, and gathers what is to be different. */
export function judge(validator, batch) {
  const outcome = { rejected: [], suspect: [], value: [], text: [], unit: [], derived: [] };
  const texts = new Map(batch.text);
  for (let row = 0; row < batch.time.length; row++) {
    const number = batch.value[row];
    const text = texts.get(row);
    const reading = {
      sensor: batch.sensors[batch.sensor[row]],
      metric: batch.metrics[batch.metric[row]],
      unit: batch.units[batch.unit[row]],
      time: batch.time[row],
      value: text === undefined ? number : Number.isNaN(number) ? text : number !== 0,
    };
    note(outcome, row, validator.check(reading), reading);
  }
  return outcome;
}

function note(outcome, row, verdict, { metric }) {
  if (!(verdict instanceof Verdict)) {
    throw new Error(`the validator gave no verdict on ${metric}: return accept(), reject(…), suspect() or replace(…)`);
  }
  if (verdict.reason !== undefined) {
    outcome.rejected.push({ row, reason: String(verdict.reason) });
    return;
  }
  if (verdict.suspicious) outcome.suspect.push(row);
  if (verdict.unit !== undefined) outcome.unit.push([row, verdict.unit]);
  if (verdict.value !== undefined) {
    const { value, text } = columns(verdict.value);
    if (!Number.isNaN(value)) outcome.value.push([row, value]);
    if (text !== undefined) outcome.text.push([row, text]);
  }
  for (const { metric, unit, value } of verdict.derived) {
    outcome.derived.push({ row, metric, unit: unit ?? "", ...columns(value) });
  }
}

/** A value as the two columns have it: text has no number, and a boolean has both. */
function columns(value) {
  if (typeof value === "boolean") return { value: value ? 1 : 0, text: String(value) };
  if (typeof value === "number") return { value, text: undefined };
  return { value: NaN, text: String(value) };
}
