/**
 * `npm run bench [-- NAME…]`: the benches one after the other, each with its own table; progress goes to stderr. Figures are of this
 * machine, ratios within one run. docs/bench.md tells what each measures, and what it may be compared with.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

interface Bench {
  readonly name: string;
  /** @param show tells how far it is, in a few words */
  run(show: (text: string) => void): Promise<void>;
}

const wanted = process.argv.slice(2);
const files = readdirSync(import.meta.dirname).filter((file) => file.endsWith(".ts") && file !== "main.ts");
const names = files.map((file) => file.replace(/\.ts$/, ""));
const unknown = wanted.filter((name) => !names.includes(name));
if (unknown.length > 0) {
  process.stderr.write(`there is no bench "${unknown[0]}"; there are ${names.join(", ")}\n`);
  process.exit(2);
}
let failed = 0;
for (const name of wanted.length > 0 ? wanted : names) {
  const { default: bench }: { default: Bench } = await import(
    pathToFileURL(join(import.meta.dirname, `${name}.ts`)).href
  );
  const startedMs = performance.now();
  process.stdout.write(`\n## ${bench.name}\n\n`);
  // One that cannot run here, as a tool is missing, keeps none of the others from it.
  await bench.run(showOn(name)).catch((error) => {
    process.stderr.write(`\n${name} failed: ${error.message}\n`);
    failed++;
  });
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  process.stderr.write(`${name}: ${((performance.now() - startedMs) / 1000).toFixed(0)} s\n`);
}
process.exit(failed > 0 ? 1 : 0);

/** One line that is written over on a terminal; elsewhere a line at most every 5 s. */
function showOn(name: string): (text: string) => void {
  let saidMs = 0;
  return (text) => {
    if (process.stderr.isTTY) process.stderr.write(`\r${name}: ${text}\x1b[K`);
    else if (performance.now() - saidMs > 5000) {
      saidMs = performance.now();
      process.stderr.write(`${name}: ${text}\n`);
    }
  };
}
