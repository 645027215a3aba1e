import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { whyNoControlPlane } from "./available.ts";
import { makeRunFolder, removeRunFolder } from "./leftovers.ts";
import { describeUnless } from "./suite.ts";

describeUnless(whyNoControlPlane(), "what a run leaves behind", () => {
  // A test worker that gets a folder, starts a program, tells both, and stays.
  const worker = `
    const { makeRunFolder } = await import(${JSON.stringify(join(import.meta.dirname, "leftovers.ts"))});
    const { run } = await import(${JSON.stringify(join(import.meta.dirname, "processes.ts"))});
    const dir = makeRunFolder("leftover");
    const { pid } = await run("sleep", ["1000"], dir + "/log");
    console.log(JSON.stringify({ dir, pid }));`;

  it("takes the programs of a killed worker with it, and the next run takes its folder", async () => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", worker], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = await once(child.stdout, "data");
    const { dir, pid } = JSON.parse(String(line));
    expect(runs(pid)).toBe(true);
    child.kill("SIGKILL");
    await once(child, "exit");
    await expect.poll(() => runs(pid)).toBe(false);

    expect(existsSync(dir)).toBe(true);
    removeRunFolder(makeRunFolder("leftover"));
    expect(existsSync(dir)).toBe(false);
  });

  it("does not take over a folder with something in it", () => {
    expect(() => makeRunFolder("leftover", import.meta.dirname)).toThrow("not empty");
  });
});

/** Whether there is such a process, other than a dead one that nobody has asked about yet. */
function runs(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
}
