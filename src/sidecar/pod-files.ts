import { readFileSync } from "node:fs";

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
