/** One thing wrong with an object: where, and what to do about it. */
export interface Problem {
  /** Path of the field, such as `spec.metrics[0].name`; empty for the object as a whole. */
  readonly field: string;
  /** What is wrong and the remedy, as one sentence without a full stop. */
  readonly message: string;
}

/** A problem as one line. */
export function describeProblem({ field, message }: Problem): string {
  return printable(field === "" ? message : `${field}: ${message}`);
}

/** The text with every character spelt out that could act on a terminal or turn the reading direction. */
export function printable(text: string): string {
  return text.replace(/[\p{C}\u2028\u2029]/gu, (each) => `\\u{${each.codePointAt(0)!.toString(16)}}`);
}

/** Path of a property or of an item. */
export function fieldPath(parent: string, key: string | number): string {
  if (typeof key === "number") return `${parent}[${key}]`;
  if (!/^[A-Za-z_$][\w$-]*$/.test(key)) return `${parent}[${JSON.stringify(key)}]`;
  return parent === "" ? key : `${parent}.${key}`;
}
