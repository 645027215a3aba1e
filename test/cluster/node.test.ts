import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { imageNames } from "./images-local.ts";
import { describeNode, startNode } from "./node.ts";
import { makeNodeCgroups } from "./node-cgroups.ts";

const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "busy", namespace: "default" },
  spec: {
    containers: [{ name: "main", image: imageNames.busybox, imagePullPolicy: "Never", command: ["sleep", "1000000"] }],
  },
};
const main = { pod: "busy", container: "main" };

const settings = ["vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward"];
const hostSettings = () => settings.map((path) => readFileSync(join("/proc/sys", path), "utf8"));
const links = (pid: number) => readdirSync("/sys/class/net").filter((name) => name.startsWith(`fsc${pid}x`));
const groupsOf = (pid: number) =>
  ["", ...readdirSync("/sys/fs/cgroup")]
    .map((each) => join("/sys/fs/cgroup", each))
    .filter((folder) => existsSync(join(folder, "cgroup.procs")))
    .flatMap((folder) => readdirSync(folder).filter((name) => name.startsWith(`forescale-test-${pid}x`)));

describeNode("what a real node leaves behind", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await startControlPlane();
  }, 900_000); // the first run on a machine builds
  afterAll(() => plane?.stop());

  it("is nothing after it was stopped; the machine's mounts and settings are never touched", async () => {
    const before = hostSettings();
    const node = await startNode(plane);
    await plane.kubectl(["create", "-f", "-"], pod);
    await plane.kubectl(["wait", "pod/busy", "--for=condition=Ready", "--timeout=60s"]);
    const pids = await node.pids(main);
    expect(pids).toHaveLength(1);
    expect(groupsOf(process.pid)).not.toEqual([]);
    expect(links(process.pid)).toHaveLength(1);
    expect(hostSettings()).toEqual(before);
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(node.dir);

    await node.stop();
    expect(pids.filter(runs)).toEqual([]);
    expect(groupsOf(process.pid)).toEqual([]);
    expect(links(process.pid)).toEqual([]);
    if (process.env.FORESCALE_TEST_KEEP !== "1") expect(existsSync(node.dir)).toBe(false);
  });

  it("ends with the worker that started it when that is killed; the next one takes its files, links and groups", async () => {
    const module = (name: string) => JSON.stringify(join(import.meta.dirname, name));
    const worker = `
      const { startControlPlane } = await import(${module("control-plane.ts")});
      const { startNode } = await import(${module("node.ts")});
      const plane = await startControlPlane();
      const node = await startNode(plane);
      await plane.kubectl(["create", "-f", "-"], ${JSON.stringify(pod)});
      await plane.kubectl(["wait", "pod/busy", "--for=condition=Ready", "--timeout=60s"]);
      console.log(JSON.stringify({ dir: node.dir, pids: await node.pids(${JSON.stringify(main)}) }));`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", worker], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(child, "exit");
    const failed = ended.then(() => Promise.reject(new Error("The worker ended before it had a node.")));
    const [line] = await Promise.race([once(createInterface(child.stdout), "line"), failed]);
    failed.catch(() => {}); // it is to end from here on
    const { dir, pids } = JSON.parse(line) as { dir: string; pids: number[] };
    expect(pids.filter(runs)).toHaveLength(1);
    child.kill("SIGKILL");
    await ended;
    await expect.poll(() => pids.filter(runs), { timeout: 10_000 }).toEqual([]);
    expect(groupsOf(child.pid!)).not.toEqual([]);
    expect(links(child.pid!)).toHaveLength(1);
    expect(existsSync(dir)).toBe(true);

    const node = await startNode(plane, { name: "node-next" });
    await node.stop();
    expect(groupsOf(child.pid!)).toEqual([]);
    expect(links(child.pid!)).toEqual([]);
    expect(existsSync(dir)).toBe(false);
  });

  it("is not what another run still uses", () => {
    const ours = makeNodeCgroups(900);
    makeNodeCgroups(901).remove();
    expect(groupsOf(process.pid)).not.toEqual([]);
    ours.remove();
    expect(groupsOf(process.pid)).toEqual([]);
  });
});

/** Whether there is such a process, other than a dead one that nobody has asked about yet. */
function runs(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
}
