/** A file as a release changes it. */
export interface Edit {
  readonly path: string;
  readonly text: string;
}

/** Files that name the version, and where: the first group of the pattern is replaced, at every match. */
const places: Readonly<Record<string, RegExp>> = {
  "package.json": /(?<=^ {2}"version": ")([^"]+)(?=")/gm,
  // The lockfile names it twice, of the package itself: its version, and that of its root entry.
  "package-lock.json": /(?<=^(?: {2}| {6})"name": "forescale",\n\s+"version": ")([^"]+)(?=")/gm,
  "manifests/kustomization.yaml": /(?<=name: forescale, newName: \S+, newTag: )([^\s}]+)(?=\})/g,
  "README.md": /(?<=-t forescale:)(\S+)/g,
  Containerfile: /(?<=-t forescale:)(\S+)/g,
};

/** Paths of the files that a release reads and changes. */
export const releaseFiles: readonly string[] = [...Object.keys(places), "CHANGELOG.md"];

/**
 * What a release changes in the files.
 *
 * @param read text of a path
 * @param day of the release, as YYYY-MM-DD
 * @throws Error that names the file and the remedy
 */
export function planRelease(version: string, read: (path: string) => string, day: string): readonly Edit[] {
  if (!/^\d+\.\d+\.\d+(-[0-9a-z.]+)?$/.test(version))
    throw new Error(`"${version}" is not a version; give three numbers such as 1.2.0, or 1.2.0-rc.1`);
  const present: unknown = JSON.parse(read("package.json")).version;
  if (typeof present === "string" && isBefore(version, present))
    throw new Error(`package.json has ${present} already, and ${version} is before it; give a later version`);
  const edits = Object.entries(places).map(([path, place]) => {
    const text = read(path);
    if (!text.match(place))
      throw new Error(`${path} does not name the version where a release expects it; see scripts/release-plan.ts`);
    return { path, text: text.replaceAll(place, version) };
  });
  return [...edits, { path: "CHANGELOG.md", text: datedChangelog(read("CHANGELOG.md"), version, day) }];
}

/** The changelog with what was unreleased under the version, and nothing unreleased. */
function datedChangelog(text: string, version: string, day: string): string {
  const heading = "## Unreleased\n";
  const [before, after] = text.split(heading);
  if (after === undefined)
    throw new Error(`CHANGELOG.md has no heading "## Unreleased"; add it above the newest version`);
  if (!/^- /m.test(after.split(/^## /m)[0]))
    throw new Error("CHANGELOG.md has nothing under Unreleased; write what a user gets");
  return `${before}${heading}\n## ${version} (${day})\n${after}`;
}

/** Whether one version is older than another, by its three numbers. */
function isBefore(version: string, other: string): boolean {
  const numbers = (text: string) => text.split("-")[0].split(".").map(Number);
  const [a, b] = [numbers(version), numbers(other)];
  const first = a.findIndex((number, at) => number !== b[at]);
  return first >= 0 && a[first] < b[first];
}
