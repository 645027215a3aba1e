/**
 * Draws the figures of the docs from the bundled trace with the code that they are about. Run by `npm run figures`; with
 * `--check` it writes nothing and ends with 1 when a file differs from what it would write.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { figures } from "./figures/figures.ts";

const { values, positionals } = parseArgs({
  options: { check: { type: "boolean", default: false } },
  allowPositionals: true,
});
const folder = join(import.meta.dirname, "..", "docs", "figures");
mkdirSync(folder, { recursive: true });
for (const [name, draw] of figures) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const path = join(folder, `${name}.svg`);
  const text = draw();
  if (text === read(path)) continue;
  if (!values.check) {
    writeFileSync(path, text);
    console.log(`wrote docs/figures/${name}.svg`);
    continue;
  }
  console.error(
    `docs/figures/${name}.svg is not what the code draws; run \`npm run figures\` and commit what it writes`,
  );
  process.exitCode = 1;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined; // not drawn yet
  }
}
