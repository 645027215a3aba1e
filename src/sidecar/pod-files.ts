import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { noStandbyAnnotation, podStateLabel } from "../api/labels.ts";

/** What the pod's own labels and annotations say, as the kubelet wrote them last. */
export class PodLabels {
  readonly #files: { readonly labels: string; readonly annotations: string };

  constructor(files: { readonly labels: string; readonly annotations: string }) {
    this.#files = files;
  }

  /** The pod's state by its labels; undefined while they can't be read. */
  state(): string | undefined {
    const labels = readPodFile(this.#files.labels);
    return labels && (labels.get(podStateLabel) ?? "Online");
  }

  /** Why the pod may not be frozen; undefined where it may. */
  refusal(): string | undefined {
    const value = readPodFile(this.#files.annotations)?.get(noStandbyAnnotation) ?? "false";
    return value === "false" ? undefined : `the pod's annotation ${noStandbyAnnotation} forbids it`;
  }
}

/** The server's certificate authorities, which outlive those that the pod was made with. */
export class AuthoritiesFile {
  readonly #path: string;
  readonly #first: string;

  /** @param first PEM of the authorities when the pod was made */
  constructor(path: string, first: string) {
    this.#path = path;
    this.#first = first;
  }

  read(): string {
    return existsSync(this.#path) ? readFileSync(this.#path, "utf8") : this.#first;
  }

  /** Stores newer ones, whole or not at all. */
  keep(pem: string): void {
    const fresh = `${this.#path}.new`;
    writeFileSync(fresh, pem);
    renameSync(fresh, this.#path);
  }
}

/**
 * Reads a file of the downward API: lines `key="value"`, the value quoted as in Go.
 *
 * @returns undefined while the file is not there
 */
export function readPodFile(path: string): ReadonlyMap<string, string> | undefined {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return parsePodFile(text);
}

/** Lines that are none of these are left out. */
export function parsePodFile(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split("\n")) {
    const at = line.indexOf("=");
    if (at === -1) continue;
    try {
      // Labels have no escapes that JSON lacks; an annotation that has is none of ours.
      const value: unknown = JSON.parse(line.slice(at + 1));
      if (typeof value === "string") found.set(line.slice(0, at), value);
    } catch {}
  }
  return found;
}
