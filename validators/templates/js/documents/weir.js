// From Weir's documents, which have their body as text, to objects, and back. Not to be changed; it runs under Node as well, so that
// tests need no WebAssembly.

/**
 * @typedef {{kind: string, operation: "create" | "update" | "delete", subject: string, id: string | undefined, body: object}} Document
 *   `kind` is that of the resource, as in the path: `kafka-topics`. `subject` asks, as in the policy. `id` is its name or id; none
 *   before it has one. `body` is what was sent: all of a new resource, the changed fields of another, none of one to be deleted.
 * @typedef {{debug(line: string): void, info(line: string): void, warn(line: string): void, error(line: string): void}} Log
 *   Lines for the tenant's own eyes. A call may leave 100 of them.
 */

/** The document goes on as it is. */
export const accept = () => new Verdict({});
/** It goes on as this object. Not for one to be deleted. */
export const replace = (body) => new Verdict({ body });
/** It is refused. `path` is a JSON Pointer to what is wrong, such as `/name`; the empty text is the whole. */
export const reject = (path, reason) => new Verdict({ problems: [{ path, reason }] });

/** What becomes of a document. */
export class Verdict {
  constructor({ body, problems = [] }) {
    Object.assign(this, { body, problems });
  }
  /** It is refused for a further reason. */
  and(path, reason) {
    return new Verdict({ problems: [...this.problems, { path, reason }] });
  }
}

/** Shows a document to a validator, and says what becomes of it in the interface's words. */
export function judge(validator, document) {
  const verdict = validator.check({ ...document, id: document.id ?? undefined, body: JSON.parse(document.body) });
  if (!(verdict instanceof Verdict)) {
    throw new Error("the validator gave no verdict: return accept(), replace(…) or reject(…)");
  }
  const { body, problems } = verdict;
  if (problems.length > 0) {
    return { tag: "reject", val: problems.map(({ path, reason }) => ({ path: String(path), reason: String(reason) })) };
  }
  return body === undefined ? { tag: "accept" } : { tag: "replace", val: JSON.stringify(body) };
}
