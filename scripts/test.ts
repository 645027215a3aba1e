/**
 * `npm test [-- FILTER…]`: runs the tests and ends with one line `N passed, N failed, N skipped`.
 * With FORESCALE_TEST_STRICT=1 a skipped test or suite is a failure, named on stderr.
 */
import { startVitest } from "vitest/node";

const strict = process.env.FORESCALE_TEST_STRICT === "1";
const vitest = await startVitest("test", process.argv.slice(2), { watch: false, run: true });

let passed = 0;
let failed = 0;
const skipped: string[] = [];
for (const module of vitest.state.getTestModules()) {
  const tests = [...module.children.allTests()];
  for (const test of tests) {
    const state = test.result().state;
    if (state === "passed") passed++;
    else if (state === "failed") failed++;
    else skipped.push(`${module.relativeModuleId} > ${test.fullName}`);
  }
  // A file that breaks before its first test has no failed test to count.
  if (module.errors().length > 0) failed++;
  else if (tests.length === 0) skipped.push(module.relativeModuleId);
}
const unhandled = vitest.state.getUnhandledErrors().length;
await vitest.close();

if (skipped.length > 0) {
  const why = strict ? "counted as failures (FORESCALE_TEST_STRICT=1)" : "their suites say why above";
  process.stderr.write(`\nSkipped, ${why}:\n${skipped.map((name) => `  ${name}\n`).join("")}`);
}
failed += unhandled + (strict ? skipped.length : 0);
const tail = skipped.length > 0 && !strict ? `, ${skipped.length} skipped` : "";
process.stdout.write(`\n${passed} passed, ${failed} failed${tail}\n`);
process.exit(failed > 0 || passed === 0 ? 1 : 0);
