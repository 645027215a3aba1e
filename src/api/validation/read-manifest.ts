import { LineCounter, parseAllDocuments } from "yaml";
import { objectSchema } from "../kinds/definitions.ts";
import type { HorizontalPortrait } from "../kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { MetricSource } from "../kinds/metric-source.ts";
import type { ReplicaProfile } from "../kinds/replica-profile.ts";
import { apiVersion, isKind, type Kind, kinds } from "../kinds.ts";
import { applyDefaults, isObject, prune } from "./defaults.ts";
import { describeProblem, fieldPath, type Problem, printable } from "./problem.ts";
import { checkRules } from "./rules.ts";
import { checkStructure } from "./structure.ts";
import { type AnyObject, validate } from "./validate.ts";

interface ObjectOf {
  readonly IntelligentHorizontalPodAutoscaler: IntelligentHorizontalPodAutoscaler;
  readonly HorizontalPortrait: HorizontalPortrait;
  readonly ReplicaProfile: ReplicaProfile;
  readonly MetricSource: MetricSource;
}

/** A manifest that was read: the object with its defaults, and what was ignored in it. */
export interface Manifest<K extends Kind> {
  readonly object: ObjectOf[K];
  /** One line each, such as an unknown field that was dropped. */
  readonly warnings: readonly string[];
}

/** A manifest that cannot be used; the message has one line a problem, then one a warning. */
export class ManifestError extends Error {
  readonly problems: readonly Problem[];
  readonly warnings: readonly string[];
  constructor(problems: readonly Problem[], warnings: readonly string[] = []) {
    super([...problems.map(describeProblem), ...warnings].join("\n"));
    this.name = "ManifestError";
    this.problems = problems;
    this.warnings = warnings;
  }
}

const largestBytes = 1 << 20;
const deepest = 64;
const reserved = new Set(["__proto__", "constructor", "prototype"]);

/**
 * Reads one object from YAML or JSON as the cluster would take it: unknown fields dropped with a warning, defaults
 * filled in, the schema and its rules checked, then what only `validate` knows.
 *
 * @param text one document, or several of which exactly one is of the kind
 * @throws ManifestError with every problem found, each naming the field and the remedy
 */
export function readManifest<K extends Kind = Kind>(text: string, { kind }: { readonly kind?: K } = {}): Manifest<K> {
  const raw = choose(documents(text), kind);
  const found = [...reservedKeys(raw)];
  if (found.length > 0) throw new ManifestError(found);

  const schema = objectSchema(raw.kind);
  const { value, dropped } = prune(schema, raw);
  const warnings = dropped.map((field) => printable(`unknown field ${field} is ignored; check its spelling`));
  const object = applyDefaults(schema, {
    ...(value as object),
    metadata: metadataOf(raw),
  } as never) as unknown as AnyObject;
  for (const check of [metadataProblems, structureProblems, ruleProblems, validate]) {
    const problems = check(object);
    if (problems.length > 0) throw new ManifestError(problems, warnings);
  }
  return { object: object as ObjectOf[K], warnings };
}

function structureProblems(object: AnyObject): Problem[] {
  return checkStructure(objectSchema(object.kind), object);
}

function ruleProblems(object: AnyObject): Problem[] {
  return checkRules(objectSchema(object.kind), object);
}

/** The documents of a stream, as plain data. */
function documents(text: string): unknown[] {
  const fail = (message: string) => new ManifestError([{ field: "", message }]);
  if (text.length > largestBytes)
    throw fail(`the manifest has ${text.length} characters; at most ${largestBytes} are read`);
  if (depth(text) > deepest) throw fail(`the manifest nests brackets more than ${deepest} deep; flatten it`);
  const lines = new LineCounter();
  const parsed = withinStack(() => parseAllDocuments(text, { lineCounter: lines, logLevel: "silent" }));
  if (parsed === undefined) throw fail("the manifest nests too deep; flatten it");
  if (!Array.isArray(parsed)) throw fail("the manifest is empty; give one object");
  return parsed.map((document) => {
    const [error] = document.errors;
    if (error) throw fail(`the manifest is no YAML: ${error.message.split("\n")[0].replace(/:$/, "")}`);
    try {
      return document.toJS({ maxAliasCount: 100 }) as unknown;
    } catch (cause) {
      throw fail(`the manifest cannot be read: ${(cause as Error).message}; write it without aliases`);
    }
  });
}

/** What a recursive parser gives, or undefined where it used up the stack. */
function withinStack<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** How deep brackets nest: cheap to know before the parser recurses on them. */
function depth(text: string): number {
  let [open, most] = [0, 0];
  for (const each of text)
    if (each === "[" || each === "{") most = Math.max(most, ++open);
    else if (each === "]" || each === "}") open--;
  return most;
}

function choose(found: readonly unknown[], wanted: Kind | undefined): { kind: Kind; [key: string]: unknown } {
  const fail = (message: string, field = "") => new ManifestError([{ field, message }]);
  const objects = found.filter((each) => each !== null);
  const fitting = objects.filter((each) => isObject(each) && (wanted === undefined || each.kind === wanted));
  if (objects.length > 1 && fitting.length !== 1)
    throw fail(
      `the manifest has ${objects.length} objects, ${fitting.length} of them ${wanted ? `of kind ${wanted}` : "readable"}; keep one`,
    );
  const object = fitting[0] ?? objects[0];
  if (!isObject(object)) throw fail("the manifest holds no object; give one with apiVersion, kind, metadata and spec");
  const { kind } = object;
  if (typeof kind !== "string" || !isKind(kind))
    throw fail(
      `${JSON.stringify(kind) ?? "nothing"} is no kind of ours; give one of ${Object.keys(kinds).join(", ")}`,
      "kind",
    );
  if (wanted !== undefined && kind !== wanted) throw fail(`${kind} is not what is read here; give a ${wanted}`, "kind");
  if (object.apiVersion !== apiVersion)
    throw fail(
      `${JSON.stringify(object.apiVersion) ?? "nothing"} is not our version; write ${apiVersion}`,
      "apiVersion",
    );
  return { ...object, kind };
}

/** Keys that JavaScript could mistake for its own machinery, wherever they stand. */
function* reservedKeys(value: unknown, path = ""): Generator<Problem> {
  if (Array.isArray(value))
    for (const [index, item] of value.entries()) yield* reservedKeys(item, fieldPath(path, index));
  else if (isObject(value))
    for (const [key, field] of Object.entries(value)) {
      const at = fieldPath(path, key);
      if (reserved.has(key)) yield { field: at, message: `the key ${key} is reserved; choose another key` };
      else yield* reservedKeys(field, at);
    }
}

/** Metadata has no schema of ours: what we read of it, in its types. */
function metadataOf(raw: { readonly kind: Kind; readonly metadata?: unknown }): Record<string, unknown> {
  const metadata = isObject(raw.metadata) ? raw.metadata : {};
  return kinds[raw.kind].namespaced ? { namespace: "default", ...metadata } : { ...metadata };
}

function metadataProblems({ metadata }: AnyObject): Problem[] {
  const problems: Problem[] = [];
  for (const [key, value] of Object.entries({ name: metadata.name, namespace: metadata.namespace })) {
    if (key === "namespace" && value === undefined) continue;
    if (typeof value !== "string" || !/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(value))
      problems.push({
        field: `metadata.${key}`,
        message: `${JSON.stringify(value) ?? "nothing"} is no ${key}; give lower-case letters, digits and dashes`,
      });
  }
  for (const key of ["labels", "annotations"] as const) {
    const entries = Object.entries(metadata[key] ?? {});
    for (const [name, value] of entries)
      if (typeof value !== "string")
        problems.push({ field: fieldPath(`metadata.${key}`, name), message: `${value} is no text; put it in quotes` });
  }
  return problems;
}
