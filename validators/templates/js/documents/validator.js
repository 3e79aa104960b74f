// Holds the names of new resources to a prefix, and takes blanks off the ends of descriptions. This is the file to change.

import { accept, reject, replace } from "./weir.js";

export class Validator {
  /**
   * Called once for each document. An error that is thrown here refuses it: it says what is wrong with the configuration.
   *
   * @param {object} config what the validator was deployed with: `{"prefixes": {"kafka-topics": "plant-"}}`
   * @param {import("./weir.js").Log} log
   */
  constructor(config, log) {
    for (const [kind, prefix] of Object.entries(config.prefixes ?? {})) {
      if (typeof prefix !== "string") {
        throw new Error(`the configuration is wrong at \`prefixes.${kind}\`: give a text`);
      }
    }
    this.prefixes = new Map(Object.entries(config.prefixes ?? {}));
    this.log = log;
  }

  /**
   * Called for the document: all of a new resource, or the fields of another that are to change.
   *
   * @param {import("./weir.js").Document} document
   */
  check({ kind, operation, subject, body }) {
    if (operation === "delete") {
      return accept();
    }
    const prefix = this.prefixes.get(kind);
    // That there is a name is Weir's own affair.
    if (operation === "create" && prefix !== undefined && typeof body.name === "string" && !body.name.startsWith(prefix)) {
      this.log.info(`${subject}: the name of a new one of ${kind} does not begin with ${prefix}`);
      return reject("/name", `begin the name with \`${prefix}\``);
    }
    const { description } = body;
    if (typeof description !== "string" || description === description.trim()) {
      return accept();
    }
    return replace({ ...body, description: description.trim() });
  }
}
