/** One requirement on a label. `In` with one value is `=`, `NotIn` with one is `!=`. */
export type Requirement =
  | { readonly operator: "In" | "NotIn"; readonly key: string; readonly values: ReadonlySet<string> }
  | { readonly operator: "Exists" | "DoesNotExist"; readonly key: string }
  | { readonly operator: "GreaterThan" | "LessThan"; readonly key: string; readonly bound: bigint };

/** All requirements must hold; none means everything matches. */
export type Selector = readonly Requirement[];

/** Longest selector that is read, in characters; the HPA's own are far below. */
export const longestSelector = 4096;

/** A selector that is not one: the message says where it stops making sense. */
export class SelectorError extends Error {}

/** Labels of what may be selected. */
export type Labels = ReadonlyMap<string, string>;

/** Whether labels meet a selector, by the rules of Kubernetes: `!=` and `notin` also hold where the key is absent. */
export function matches(selector: Selector, labels: Labels): boolean {
  return selector.every((requirement) => meets(requirement, labels.get(requirement.key)));
}

function meets(requirement: Requirement, value: string | undefined): boolean {
  switch (requirement.operator) {
    case "In":
      return value !== undefined && requirement.values.has(value);
    case "NotIn":
      return value === undefined || !requirement.values.has(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
    case "GreaterThan":
      return value !== undefined && isInteger(value) && BigInt(value) > requirement.bound;
    case "LessThan":
      return value !== undefined && isInteger(value) && BigInt(value) < requirement.bound;
  }
}

/** The value that a selector pins a key to, so that it can be looked up; undefined when it leaves a choice. */
export function pinned(selector: Selector, key: string): string | undefined {
  for (const requirement of selector)
    if (requirement.operator === "In" && requirement.key === key && requirement.values.size === 1)
      return requirement.values.values().next().value;
  return undefined;
}

/**
 * Parses a label selector: `=`, `==`, `!=`, `in`, `notin`, `key`, `!key`, `>` and `<`, as k8s.io/apimachinery does.
 *
 * @throws SelectorError for anything else
 * @see k8s.io/apimachinery/pkg/labels/selector.go
 */
export function parseSelector(text: string): Selector {
  if (text.length > longestSelector)
    throw new SelectorError(`the selector has ${text.length} characters; at most ${longestSelector} are read`);
  const tokens = new Tokens(text);
  const requirements: Requirement[] = [];
  if (tokens.peek() === "") return requirements;
  for (;;) {
    requirements.push(readRequirement(tokens));
    const next = tokens.take();
    if (next === "") return requirements;
    if (next !== ",") throw unexpected(next, "',' or the end");
    if (!isWord(tokens.peek()) && tokens.peek() !== "!") throw unexpected(tokens.peek(), "a key after ','");
  }
}

function readRequirement(tokens: Tokens): Requirement {
  const negated = tokens.peek() === "!";
  if (negated) tokens.take();
  const key = tokens.take();
  if (!isWord(key)) throw unexpected(key, "a key");
  checkKey(key);
  if (negated) return { operator: "DoesNotExist", key };
  if (tokens.peek() === "" || tokens.peek() === ",") return { operator: "Exists", key };
  const operator = tokens.take();
  switch (operator) {
    case "=":
    case "==":
      return { operator: "In", key, values: new Set([readValue(tokens)]) };
    case "!=":
      return { operator: "NotIn", key, values: new Set([readValue(tokens)]) };
    case "in":
      return { operator: "In", key, values: readValues(tokens) };
    case "notin":
      return { operator: "NotIn", key, values: readValues(tokens) };
    case ">":
    case "<": {
      const value = readValue(tokens);
      if (!isInteger(value)) throw new SelectorError(`'${value}' after '${operator}' is not an integer`);
      return { operator: operator === ">" ? "GreaterThan" : "LessThan", key, bound: BigInt(value) };
    }
    default:
      throw unexpected(operator, "one of =, ==, !=, in, notin, >, <");
  }
}

function readValue(tokens: Tokens): string {
  if (tokens.peek() === "" || tokens.peek() === ",") return "";
  const value = tokens.take();
  if (!isWord(value)) throw unexpected(value, "a value");
  return checkValue(value);
}

function readValues(tokens: Tokens): ReadonlySet<string> {
  if (tokens.take() !== "(") throw new SelectorError("expected '(' after in or notin");
  const values = new Set<string>();
  // As in Go: an empty place between commas, or in `()`, is the empty value.
  let place = "";
  for (;;) {
    const token = tokens.take();
    if (token === "," || token === ")") {
      values.add(checkValue(place));
      place = "";
      if (token === ")") return values;
    } else if (isWord(token) && place === "") place = token;
    else throw unexpected(token, "',' or ')'");
  }
}

/** Words and operators of a selector; "" is its end. */
class Tokens {
  readonly #tokens: readonly string[];
  #next = 0;

  constructor(text: string) {
    // Spaces part words; a run of = and ! is one token if it is an operator, else it fails as a whole.
    this.#tokens = text.match(/[=!]+|[(),<>]|[^=!(),<>\s]+/g) ?? [];
  }

  peek(): string {
    return this.#tokens[this.#next] ?? "";
  }

  take(): string {
    return this.#tokens[this.#next++] ?? "";
  }
}

function isWord(token: string): boolean {
  return token !== "" && !/[=!(),<>]/.test(token);
}

function isInteger(text: string): boolean {
  return /^[+-]?[0-9]{1,19}$/.test(text) && BigInt.asIntN(64, BigInt(text)) === BigInt(text);
}

const namePattern = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const prefixPattern = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

function checkKey(key: string): void {
  const slash = key.indexOf("/");
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  const isValid =
    namePattern.test(key.slice(slash + 1)) &&
    (prefix === undefined || (prefix.length <= 253 && prefixPattern.test(prefix)));
  if (!isValid) throw new SelectorError(`'${shorten(key)}' is not a label key`);
}

function checkValue(value: string): string {
  if (value !== "" && !namePattern.test(value)) throw new SelectorError(`'${shorten(value)}' is not a label value`);
  return value;
}

function unexpected(token: string, wanted: string): SelectorError {
  return new SelectorError(`found ${token === "" ? "the end" : `'${shorten(token)}'`}, expected ${wanted}`);
}

function shorten(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
