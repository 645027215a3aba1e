import { readFileSync } from "node:fs";
import { join } from "node:path";
import { badManifests, badRequests, otherFaults } from "./bad-input-page.ts";
import { importTablePage } from "./import-table.ts";

/** Pages of which sections are generated, each between `<!-- generated: NAME -->` and `<!-- end -->`. */
export const pagesWithSections: readonly string[] = ["docs/architecture.md", "docs/faults-and-bad-input.md"];

const clone = join(import.meta.dirname, "..");

/** What a section holds, by the first word of its name; the rest of the name is its argument. */
const sections: Readonly<Record<string, (argument: string) => string>> = {
  "import-table": importTablePage,
  "bad-requests": badRequests,
  "bad-manifests": badManifests,
  "other-faults": otherFaults,
  /** A whole file of code. */
  file: (path) => `\`\`\`ts\n// ${path}\n${readFileSync(join(clone, path), "utf8").trimEnd()}\n\`\`\``,
};

/**
 * A page with its generated sections as they should be.
 *
 * @throws RangeError for a section that nobody generates, naming the page
 */
export function withSections(text: string, page: string): string {
  return text.replaceAll(/^(<!-- generated: (\S+) ?(.*) -->\n)[\s\S]*?^<!-- end -->$/gm, (_, begin, name, argument) => {
    if (!Object.hasOwn(sections, name))
      throw new RangeError(`${page} has a section "${name}", which nothing generates`);
    return `${begin}\n${sections[name](argument)}\n\n<!-- end -->`;
  });
}
