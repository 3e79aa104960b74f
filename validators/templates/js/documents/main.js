// What Weir calls. Not to be changed: the validator is in validator.js.

import { json } from "weir:validator/config@1.1.0";
import { write } from "weir:validator/log@1.1.0";

import { Validator } from "./validator.js";
import { judge } from "./weir.js";

const line = (level) => (message) => write(level, String(message));
const log = { debug: line("debug"), info: line("info"), warn: line("warn"), error: line("error") };

export const documents = {
  check(document) {
    let validator;
    try {
      validator = new Validator(JSON.parse(json()), log);
    } catch (error) {
      // A text that is thrown is the interface's error: the document could not be judged.
      throw error.message;
    }
    return judge(validator, document);
  },
};
