import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";

const run = promisify(execFile);
const bin = join(import.meta.dirname, "..", "..", "..", "bin");
let clone: string;

/** A clone whose npm is ours: `ci` takes a while and says so in a log, `rebuild` brings the binary. */
beforeEach(() => {
  clone = mkdtempSync(join(tmpdir(), "forescale-clone-"));
  cpSync(bin, join(clone, "bin"), { recursive: true });
  mkdirSync(join(clone, "src"));
  mkdirSync(join(clone, "tools"));
  writeFileSync(
    join(clone, "src", "main.ts"),
    'process.stdout.write("ran " + process.argv.slice(2).join() + "\\n");\n',
  );
  const packages = { "": {}, "node_modules/a": { version: "1.0.0" } };
  writeFileSync(join(clone, "package-lock.json"), JSON.stringify({ packages }));
  writeFileSync(
    join(clone, "tools", "npm"),
    `#!/bin/sh
echo "$1" >> "${clone}/log"
[ "$FAIL" = "$1" ] && exit 7
mkdir -p node_modules/node/bin
if [ "$1" = ci ]; then rm -f node_modules/node/bin/node; sleep 1; cp package-lock.json node_modules/.package-lock.json; fi
if [ "$1" = rebuild ]; then sleep 0.3; ln -s "${process.execPath}" node_modules/node/bin/node; fi
`,
    { mode: 0o755 },
  );
});
afterEach(() => rmSync(clone, { recursive: true, force: true }));

const start = (word: string, env: object = {}) =>
  run(process.execPath, [join(clone, "bin", "forescale.mjs"), word], {
    env: { ...process.env, PATH: `${join(clone, "tools")}${delimiter}${process.env.PATH}`, ...env },
  });
const installs = () =>
  readFileSync(join(clone, "log"), "utf8")
    .split("\n")
    .filter((line) => line === "ci").length;

test("of several that start at once in a new clone one installs, and all run", async () => {
  const outputs = await Promise.all(["one", "two", "three"].map((word) => start(word)));
  expect(outputs.map(({ stdout }) => stdout)).toEqual(["ran one\n", "ran two\n", "ran three\n"]);
  expect(installs()).toBe(1);
  await start("later");
  expect(installs()).toBe(1);
});

test("a lock that a dead process left behind is taken over", async () => {
  const lock = join(clone, ".install.lock");
  mkdirSync(lock);
  writeFileSync(join(lock, "999999"), "");
  const longAgo = new Date(Date.now() - 3_600_000);
  utimesSync(lock, longAgo, longAgo);
  expect((await start("one")).stdout).toBe("ran one\n");
});

test("a failed installation ends with one sentence and releases the lock", async () => {
  await expect(start("one", { FAIL: "ci" })).rejects.toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringMatching(/`npm ci .*` ended with 7; check the network/),
  });
  expect((await start("two")).stdout).toBe("ran two\n");
});
