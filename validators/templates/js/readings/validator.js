// Holds numbers to limits: what is outside is rejected. This is the file to change.

import { accept, reject } from "./weir.js";

export class Validator {
  /**
   * Called once for each batch. An error that is thrown here fails the batch: it says what is wrong with the configuration.
   *
   * @param {object} config what the validator was deployed with: `{"limits": {"temperature": {"min": -40, "max": 85}}}`
   * @param {import("./weir.js").Log} log
   */
  constructor(config, log) {
    for (const [metric, range] of Object.entries(config.limits ?? {})) {
      if (typeof range?.min !== "number" || typeof range?.max !== "number") {
        throw new Error(`the configuration is wrong at \`limits.${metric}\`: give the numbers \`min\` and \`max\``);
      }
    }
    this.limits = new Map(Object.entries(config.limits ?? {}));
    this.log = log;
  }

  /**
   * Called for each value of each reading.
   *
   * @param {import("./weir.js").Reading} reading
   */
  check({ sensor, metric, value }) {
    const range = this.limits.get(metric);
    if (range === undefined || typeof value !== "number" || (value >= range.min && value <= range.max)) {
      return accept();
    }
    const breach = value < range.min ? `below the limit of ${range.min}` : `above the limit of ${range.max}`;
    const reason = `${metric} is ${value}, ${breach}`;
    this.log.info(`${sensor}: ${reason}`);
    return reject(reason);
  }
}
