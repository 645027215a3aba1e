import { afterEach, describe, expect, test } from "vitest";
import { applications, Pod, whyNoPods } from "./standby/rig.ts";
import { type Swap, startSwapFile, startZram, whyNoZram } from "./standby/swap.ts";

const why = whyNoPods() ?? whyNoZram();
if (why) console.warn(`swap mode is not tested: ${why}`);

let pod: Pod | undefined;
let swap: Swap | undefined;
afterEach(async () => {
  await pod?.end();
  swap?.end();
  [pod, swap] = [undefined, undefined];
});

describe.skipIf(why !== undefined)("an application frozen to swap", { timeout: 120_000 }, () => {
  test.each([
    { name: "a C program, on zram", kind: "c", mib: 96, start: startZram },
    { name: "a Node server, on zram", kind: "node", mib: 64, start: startZram },
    { name: "a JVM server, on zram", kind: "jvm", mib: 96, start: startZram },
    { name: "a C program, on a disk", kind: "c", mib: 64, start: startSwapFile },
  ] as const)("$name: answers rightly after each of five freezes", async ({ kind, mib, start }) => {
    swap = start(1024);
    pod = await Pod.start();
    await pod.startApplication(applications[kind](pod.port, mib));
    const answer = await pod.ask("check");
    const sidecar = await pod.startSidecar();
    for (let cycle = 0; cycle < 5; cycle++) {
      const before = pod.anonymousBytes;
      const report = await sidecar.freeze("Swap");
      expect(report).toMatchObject({ state: "Standby", mode: "Swap" });
      expect(pod.states).toBe("T");
      expect((before - pod.anonymousBytes) / before).toBeGreaterThan(0.9);
      expect(await sidecar.thaw()).toMatchObject({ state: "Online" });
      expect(await pod.ask("check")).toBe(answer);
    }
  });

  test.each(["Stop", "Canary", "PageOut", "Verify"])(
    "runs on when the helper is killed at %s",
    async (killHelperAt) => {
      swap = startZram(256);
      pod = await Pod.start();
      await pod.startApplication(applications.c(pod.port, 24));
      const sidecar = await pod.startSidecar({ killHelperAt });
      const report = await sidecar.freeze("Swap");
      if (report.state === "Standby") await sidecar.thaw();
      else expect(report).toMatchObject({ state: "Failed", reason: "HelperDied" });
      expect(await pod.ask("check")).toMatch(/^ok/);
    },
  );

  test.each(["Stop", "Canary", "PageOut", "Verify", "Standby", "Continue"])(
    "serves again after the sidecar was killed at %s",
    async (dieAt) => {
      swap = startZram(256);
      pod = await Pod.start();
      await pod.startApplication(applications.c(pod.port, 24));
      const first = await pod.startSidecar({ dieAt });
      if (await first.freeze("Swap").catch(() => undefined)) await first.thaw().catch(() => undefined);
      await first.ended;
      const second = await pod.startSidecar();
      if (second.reports.at(-1)?.state === "Standby") await second.thaw();
      expect(await pod.ask("check", 10_000)).toMatch(/^ok/);
    },
  );

  test("is only stopped where there is no swap", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, 24));
    const report = await (await pod.startSidecar()).freeze("Swap");
    expect(report).toMatchObject({ state: "Standby", mode: "FreezeOnly", message: "Swap: the node has no swap" });
  });

  test("is only stopped where swap is too small", async () => {
    swap = startZram(16);
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, 24));
    const report = await (await pod.startSidecar()).freeze("Swap");
    expect(report).toMatchObject({ state: "Standby", mode: "FreezeOnly" });
    expect(report.message).toMatch(/^Swap: the node has 1\d MiB of swap free, 1.1 times 2\d MiB is needed/);
  });

  test("is only stopped by a sidecar without the capabilities", async () => {
    swap = startZram(256);
    pod = await Pod.start({ ownNetwork: true });
    pod.giveTo(65_534);
    const nobody = [
      "setpriv",
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups",
      "--bounding-set=-all",
      "--inh-caps=-all",
    ];
    await pod.startApplication({ command: [...nobody, ...applications.c(pod.port, 24).command] });
    const sidecar = await pod.startSidecar({ wrap: nobody });
    const report = await sidecar.freeze("Swap");
    expect(report).toMatchObject({ state: "Standby", mode: "FreezeOnly" });
    expect(report.message).toMatch(/^Swap: .*it takes CAP_SYS_NICE and CAP_SYS_PTRACE/);
    expect(await sidecar.thaw()).toMatchObject({ state: "Online" });
    expect(await pod.ask("check")).toMatch(/^ok/);
  });

  test("runs on when somebody else continues it, which is seen", async () => {
    swap = startZram(256);
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, 24));
    const sidecar = await pod.startSidecar();
    await sidecar.freeze("Swap");
    const told = sidecar.untilNext("Online");
    for (const pid of pod.applicationPids) process.kill(pid, "SIGCONT");
    await told;
    expect(await pod.ask("check")).toMatch(/^ok/);
  });
});
