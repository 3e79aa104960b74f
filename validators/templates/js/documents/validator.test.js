import assert from "node:assert/strict";
import { test } from "node:test";

import { Validator } from "./validator.js";
import { accept, judge, reject, replace } from "./weir.js";

const CONFIG = { prefixes: { "kafka-topics": "plant-" } };
const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const document = (kind, body, operation = "create") => ({ kind, operation, subject: "user:ann", id: undefined, body });
const verdict = (...of) => new Validator(CONFIG, quiet).check(document(...of));

test("a name with the prefix is accepted", () => {
  assert.deepEqual(verdict("kafka-topics", { name: "plant-1" }), accept());
  assert.deepEqual(verdict("schemas", { name: "office" }), accept());
});

test("another name is rejected with the prefix", () => {
  assert.deepEqual(verdict("kafka-topics", { name: "office" }), reject("/name", "begin the name with `plant-`"));
  assert.deepEqual(verdict("kafka-topics", {}, "delete"), accept());
});

test("blanks at the ends of a description go", () => {
  const change = { description: " a  b\n", ingest: true };
  assert.deepEqual(verdict("kafka-topics", change, "update"), replace({ description: "a  b", ingest: true }));
});

test("a rejection leaves a line in the log", () => {
  const lines = [];
  const log = { ...quiet, info: (line) => lines.push(line) };
  new Validator(CONFIG, log).check(document("kafka-topics", { name: "office" }));
  assert.deepEqual(lines, ["user:ann: the name of a new one of kafka-topics does not begin with plant-"]);
});

test("a wrong configuration is named", () => {
  assert.throws(() => new Validator({ prefixes: { schemas: 3 } }, quiet), /prefixes\.schemas/);
});

test("verdicts become the interface's words", () => {
  const shown = { kind: "schemas", operation: "create", subject: "user:ann", id: undefined, body: '{"name":"a"}' };
  const said = (verdict) => judge({ check: ({ body }) => verdict(body) }, shown);
  assert.deepEqual(said(accept), { tag: "accept" });
  assert.deepEqual(said((body) => replace({ ...body, open: true })), { tag: "replace", val: '{"name":"a","open":true}' });
  const problems = [{ path: "/name", reason: "too short" }, { path: "", reason: "too few" }];
  assert.deepEqual(said(() => reject("/name", "too short").and("", "too few")), { tag: "reject", val: problems });
  assert.throws(() => said(() => undefined), /gave no verdict/);
});
