import assert from "node:assert/strict";
import { test } from "node:test";

import { Validator } from "./validator.js";
import { accept, judge, replace, suspect } from "./weir.js";

const CONFIG = { limits: { temperature: { min: -40, max: 85 } } };
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const reading = (metric, value) => ({ sensor: "room-4", metric, unit: "", time: 0n, value });
const verdict = (metric, value) => new Validator(CONFIG, quiet).check(reading(metric, value));

test("what is inside is accepted", () => {
  assert.deepEqual(verdict("temperature", 85), accept());
  assert.deepEqual(verdict("humidity", 900), accept());
});

test("what is outside is rejected with the limit", () => {
  assert.equal(verdict("temperature", 86.5).reason, "temperature is 86.5, above the limit of 85");
  assert.equal(verdict("temperature", -41).reason, "temperature is -41, below the limit of -40");
});

test("a rejection leaves a line in the log", () => {
  const lines = [];
  new Validator(CONFIG, { ...quiet, info: (line) => lines.push(line) }).check(reading("temperature", 86.5));
  assert.deepEqual(lines, ["room-4: temperature is 86.5, above the limit of 85"]);
});

test("a wrong configuration is named", () => {
  assert.throws(() => new Validator({ limits: { temperature: { min: 0 } } }, quiet), /limits\.temperature/);
});

test("verdicts keep their rows", () => {
  const batch = {
    sensors: ["first", "second"],
    metrics: ["temperature", "open", "mode"],
    units: ["", "Cel"],
    sensor: [0, 0, 1],
    metric: [0, 1, 2],
    unit: [1, 0, 0],
    time: [10n, 10n, 20n],
    value: [21.5, 1, NaN],
    text: [[1, "true"], [2, "eco"]],
  };
  const seen = [];
  const verdicts = [replace(294.65).withUnit("K"), suspect(), replace(false).derive("open", "", true)];
  const outcome = judge({ check: (reading) => (seen.push(reading), verdicts[seen.length - 1]) }, batch);
  assert.deepEqual(seen.map(({ value }) => value), [21.5, true, "eco"]);
  assert.deepEqual(outcome.value, [[0, 294.65], [2, 0]]);
  assert.deepEqual(outcome.text, [[2, "false"]]);
  assert.deepEqual(outcome.unit, [[0, "K"]]);
  assert.deepEqual(outcome.suspect, [1]);
  assert.deepEqual(outcome.derived, [{ row: 2, metric: "open", unit: "", value: 1, text: "true" }]);
});
