import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import {
  containerOf,
  findApplication,
  parentsFirst,
  parseCgroups,
  readProcess,
} from "../../../../src/sidecar/freeze/processes.ts";

describe("which container a process is in", () => {
  const pod = "/kubepods/burstable/pod7";
  test.each([
    { name: "the own one, in a namespace of control groups", own: "0::/", other: "0::/", kind: "Own" },
    { name: "a group inside the own one", own: "0::/", other: "0::/init.scope", kind: "Own" },
    { name: "beside it", own: "0::/", other: "0::/../app-1", kind: "Beside" },
    { name: "a group inside one beside it", own: "0::/", other: "0::/../app-1/system.slice", kind: "Beside" },
    { name: "another pod's", own: "0::/", other: "0::/../../pod8/app-1", kind: "Foreign" },
    { name: "the node's own", own: "0::/", other: "0::/../../../system.slice/sshd.service", kind: "Foreign" },
    { name: "the pod's group itself", own: "0::/", other: "0::/..", kind: "Foreign" },
    { name: "without a namespace: the own one", own: `5:memory:${pod}/me`, other: `5:memory:${pod}/me`, kind: "Own" },
    {
      name: "without a namespace: beside it",
      own: `5:memory:${pod}/me`,
      other: `5:memory:${pod}/app-1`,
      kind: "Beside",
    },
    {
      name: "without a namespace: another's",
      own: `5:memory:${pod}/me`,
      other: "5:memory:/kubepods/pod8/x",
      kind: "Foreign",
    },
    { name: "a name that only begins alike", own: `5:memory:${pod}/me`, other: `5:memory:${pod}/me2`, kind: "Beside" },
    {
      name: "told apart by one hierarchy of several",
      own: `9:name=systemd:/\n5:memory:${pod}/me\n0::/`,
      other: `9:name=systemd:/\n5:memory:${pod}/app-1\n0::/`,
      kind: "Beside",
    },
    {
      name: "in the pod by one hierarchy, outside by another",
      own: `5:memory:${pod}/me\n4:cpu:${pod}/me`,
      other: `5:memory:${pod}/app-1\n4:cpu:/system.slice`,
      kind: "Foreign",
    },
  ])("$name: $kind", ({ own, other, kind }) => {
    expect(containerOf(parseCgroups(own), parseCgroups(other)).kind).toBe(kind);
  });
});

describe("the application's processes", () => {
  let proc = "";
  afterEach(() => rmSync(proc, { recursive: true, force: true }));

  /** A /proc with these processes: id, parent, container, state, name. */
  function play(
    ...processes: [pid: number, parent: number, container: string, state?: string, name?: string, flags?: number][]
  ): string {
    proc = mkdtempSync(join(tmpdir(), "forescale-proc-"));
    for (const [pid, parent, container, state = "S", name = "app", flags = 0] of processes) {
      const folder = join(proc, String(pid));
      mkdirSync(folder);
      const rest = Array.from({ length: 17 }, (_, i) => (i === 4 ? flags : 0)).join(" ");
      writeFileSync(join(folder, "stat"), `${pid} (${name}) ${state} ${parent} ${rest} ${pid * 100} 0\n`);
      writeFileSync(join(folder, "status"), "Name:\tx\nTracerPid:\t0\nShdPnd:\t0000000000004000\n");
      writeFileSync(join(folder, "cgroup"), `0::${container === "me" ? "/" : `/../${container}`}\n`);
    }
    mkdirSync(join(proc, "sys"));
    return proc;
  }

  test("are not those of containers that run beside it, as the server names them", () => {
    const mesh = "5f1c0a9d3b7e".padEnd(64, "0");
    play([1, 0, "pause"], [7, 0, "me"], [20, 0, "app"], [30, 0, `cri-containerd-${mesh}.scope`], [31, 30, mesh]);
    expect(findApplication(proc, 7, [mesh]).map(({ pid }) => pid)).toEqual([20]);
  });

  test("are all but the pause process, the sidecar and what both started", () => {
    play([1, 0, "pause"], [7, 0, "me"], [8, 7, "me"], [20, 0, "app"], [15, 20, "app"], [30, 0, "other"]);
    expect(findApplication(proc, 7).map(({ pid }) => pid)).toEqual([20, 30, 15]);
  });

  test("are read whatever their names", () => {
    play([1, 0, "pause"], [7, 0, "me"], [20, 0, "app", "T", "a) R 1 (b"]);
    expect(findApplication(proc, 7)[0]).toMatchObject({
      ...{ pid: 20, name: "a) R 1 (b", state: "T", parent: 0, started: "2000", tracer: 0 },
      pendingSignals: 1n << 14n,
    });
    expect(readProcess(proc, 99)).toBeUndefined();
  });

  test("do not count while they end, when they have left their control group already", () => {
    play([1, 0, "pause"], [7, 0, "me"], [20, 0, "app"], [21, 7, "../../..", "R", "helper", 0x40_4104]);
    expect(findApplication(proc, 7).map(({ pid }) => pid)).toEqual([20]);
  });

  test("do not count when they have ended", () => {
    play([1, 0, "pause"], [7, 0, "me"], [20, 0, "app", "Z"]);
    expect(() => findApplication(proc, 7)).toThrow(expect.objectContaining({ code: "NoApplication" }));
  });

  test.each([
    { name: "the sidecar is process 1", processes: [[1, 0, "me"]] as const, own: 1, code: "NotShared" },
    {
      name: "process 1 is in the sidecar's container",
      processes: [
        [1, 0, "me"],
        [7, 1, "me"],
      ] as const,
      own: 7,
      code: "NotShared",
    },
    {
      name: "process 1 is the node's",
      processes: [
        [1, 0, "../../init.scope"],
        [7, 0, "me"],
        [20, 0, "app"],
      ] as const,
      own: 7,
      code: "NotThePods",
    },
    {
      name: "another pod's process is seen",
      processes: [
        [1, 0, "pause"],
        [7, 0, "me"],
        [20, 0, "app"],
        [21, 0, "../pod8/x"],
      ] as const,
      own: 7,
      code: "NotThePods",
    },
  ])("are refused when $name", ({ processes, own, code }) => {
    play(...processes.map(([pid, parent, container]) => [pid, parent, container] as [number, number, string]));
    expect(() => findApplication(proc, own)).toThrow(expect.objectContaining({ code }));
  });
});

test("parents come before their children, whatever their ids, and none is lost", () => {
  const forest = fc.array(fc.nat(), { maxLength: 30 }).chain((draws) =>
    fc
      .shuffledSubarray(
        draws.map((_, i) => 100 + i),
        { minLength: draws.length },
      )
      .map((pids) =>
        draws.map((draw, i) => ({ pid: pids[i], parent: i === 0 || draw % 3 === 0 ? 1 : pids[draw % i] })),
      ),
  );
  fc.assert(
    fc.property(forest, (processes) => {
      const ordered = parentsFirst(processes);
      expect(ordered.map(({ pid }) => pid).toSorted()).toEqual(processes.map(({ pid }) => pid).toSorted());
      const at = new Map(ordered.map(({ pid }, i) => [pid, i]));
      for (const { pid, parent } of ordered) expect(at.get(parent) ?? -1).toBeLessThan(at.get(pid)!);
    }),
  );
});
