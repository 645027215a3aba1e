import {
  closeSync,
  copyFileSync,
  existsSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { applications, buildC, Pod, type Sidecar, whyNoPods } from "./standby/rig.ts";

const why = whyNoPods();
if (why) console.warn(`the freezer's faults are not tested: ${why}`);

const mib = 24;
let pod: Pod;

/** Adds one to a byte of a file. */
function damage(path: string, at: number): void {
  const value = readFileSync(path)[at];
  const file = openSync(path, "r+");
  writeSync(file, Buffer.from([(value + 1) & 255]), 0, 1, at);
  closeSync(file);
}

async function startFrozen(): Promise<Sidecar> {
  await pod.startApplication(applications.c(pod.port, mib));
  const sidecar = await pod.startSidecar();
  expect(await sidecar.freeze("Image")).toMatchObject({ state: "Standby", mode: "Image" });
  return sidecar;
}

/** Either it serves, every byte right, or it is gone: never stopped, never wrong. */
async function expectServesOrGone(): Promise<"serves" | "gone"> {
  const isKilled = pod.states.replaceAll("Z", "") === "";
  if (isKilled && (await pod.isGone())) return "gone";
  expect(await pod.ask("check", 20_000)).toMatch(/^ok/);
  return "serves";
}

describe.skipIf(why !== undefined)("an application in doubt", { timeout: 120_000 }, () => {
  beforeEach(async () => {
    pod = await Pod.start();
  });
  afterEach(() => pod.end());

  test.each([
    { name: "a byte of the pages", spoil: (image: string) => damage(image, 200_000), reason: "ImageDamaged" },
    { name: "a byte of a tag", spoil: (image: string) => damage(image, 4096 + 3), reason: "ImageDamaged" },
    { name: "a byte of the head", spoil: (image: string) => damage(image, 20), reason: "ImageDamaged" },
    {
      name: "its end",
      spoil: (image: string) => truncateSync(image, statSync(image).size - 4096),
      reason: "ImageDamaged",
    },
    { name: "all of it", spoil: (image: string) => rmSync(image), reason: "ImageLost" },
    {
      name: "its order: one block stands where another should",
      spoil(image: string) {
        const bytes = readFileSync(image);
        bytes.copyWithin(4096, 4096 + 65 * 4096, 4096 + 2 * 65 * 4096);
        writeFileSync(image, bytes);
      },
      reason: "ImageDamaged",
    },
  ])("is killed when the image has lost $name", async ({ spoil, reason }) => {
    const sidecar = await startFrozen();
    spoil(join(pod.folder, "image"));
    expect(await sidecar.thaw()).toMatchObject({ state: "Restarted", reason });
    expect(await pod.isGone()).toBe(true);
    expect(existsSync(join(pod.keyFolder, "key"))).toBe(false);
  });

  test.each([
    { name: "is lost", spoil: (key: string) => rmSync(key), reason: "KeyLost" },
    { name: "is another", spoil: (key: string) => writeFileSync(key, Buffer.alloc(32, 7)), reason: "ImageDamaged" },
    { name: "is cut", spoil: (key: string) => truncateSync(key, 31), reason: "KeyLost" },
  ])("is killed when the key $name", async ({ spoil, reason }) => {
    const sidecar = await startFrozen();
    spoil(join(pod.keyFolder, "key"));
    expect(await sidecar.thaw()).toMatchObject({ state: "Restarted", reason });
    expect(await pod.isGone()).toBe(true);
  });

  test("is killed when somebody else continued it", async () => {
    const sidecar = await startFrozen();
    const told = sidecar.untilNext("Restarted");
    for (const pid of pod.applicationPids) process.kill(pid, "SIGCONT");
    // It may fall over its missing memory before it is seen to run.
    expect((await told).reason).toMatch(/^(Touched|Gone)$/);
    expect(await pod.isGone()).toBe(true);
  });

  test("is killed when it ran for a moment and was stopped again", async () => {
    const sidecar = await startFrozen();
    for (const pid of pod.applicationPids) {
      process.kill(pid, "SIGCONT");
      process.kill(pid, "SIGSTOP");
    }
    expect((await sidecar.thaw()).state).toBe("Restarted");
    expect(await pod.isGone()).toBe(true);
  });

  test("is reported when it was killed while frozen", async () => {
    const sidecar = await startFrozen();
    const told = sidecar.untilNext("Restarted");
    for (const pid of pod.applicationPids) process.kill(pid, "SIGKILL");
    expect(await told).toMatchObject({ reason: "Gone" });
    await pod.startApplication(applications.c(pod.port, mib));
    expect(await sidecar.thaw(), "the next one is not taken for it").toMatchObject({ state: "Online" });
  });

  test("is killed when the journal of its freeze is damaged", async () => {
    const sidecar = await startFrozen();
    sidecar.killHard();
    await sidecar.ended;
    damage(join(pod.folder, "journal"), 100);
    const second = await pod.startSidecar();
    expect(second.reports.at(-1)).toMatchObject({ state: "Restarted", reason: "JournalDamaged" });
    expect(await pod.isGone()).toBe(true);
  });

  test("is killed when a new sidecar finds no key", async () => {
    const sidecar = await startFrozen();
    sidecar.killHard();
    await sidecar.ended;
    rmSync(join(pod.keyFolder, "key"));
    const second = await pod.startSidecar();
    expect(second.reports.at(-1)).toMatchObject({ state: "Restarted", reason: "KeyLost" });
    expect(await pod.isGone()).toBe(true);
  });
});

describe.skipIf(why !== undefined)("the helper killed", { timeout: 120_000 }, () => {
  beforeEach(async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, mib));
  });
  afterEach(() => pod.end());

  test.each(["Seize", "Rehearse", "Copy", "Seal", "Verify", "Drop"])(
    "before the drop, at %s: the application runs on",
    async (killHelperAt) => {
      const sidecar = await pod.startSidecar({ killHelperAt });
      expect(await sidecar.freeze("Image")).toMatchObject({ state: "Failed", reason: "HelperDied" });
      expect(await expectServesOrGone()).toBe("serves");
      expect(await sidecar.freeze("Image"), "the next try works").toMatchObject({ state: "Standby" });
      await sidecar.thaw();
      expect(await expectServesOrGone()).toBe("serves");
    },
  );

  test.each(["Dropping", "Park"])("while memory is dropped, at %s: the application is killed", async (killHelperAt) => {
    const sidecar = await pod.startSidecar({ killHelperAt });
    expect(await sidecar.freeze("Image")).toMatchObject({ state: "Restarted", reason: "HelperDied" });
    expect(await pod.isGone()).toBe(true);
  });

  test.each(["Check", "Restore", "Restored", "Continue"])(
    "on the way back, at %s: another one does it",
    async (killHelperAt) => {
      const sidecar = await pod.startSidecar({ killHelperAt });
      await sidecar.freeze("Image");
      expect(await sidecar.thaw()).toMatchObject({ state: "Online" });
      expect(await expectServesOrGone()).toBe("serves");
    },
  );

  test.each([
    ...[0, 1, 2, 4, 8, 16, 32].map((ms) => ["Copy", ms] as const),
    ...[0, 0.5, 1, 1.5, 2, 3, 5].map((ms) => ["Drop", ms] as const),
    ...[0, 2, 5, 10, 15, 25].map((ms) => ["Restore", ms] as const),
  ])("after %s, %d ms later: it serves or is gone", async (killHelperAt, killHelperAfterMs) => {
    const sidecar = await pod.startSidecar({ killHelperAt, killHelperAfterMs });
    const frozen = await sidecar.freeze("Image");
    if (frozen.state === "Standby") expect((await sidecar.thaw()).state).toBe("Online");
    const outcome = await expectServesOrGone();
    expect(outcome).toBe(sidecar.reports.at(-1)?.state === "Restarted" ? "gone" : "serves");
  });
});

describe.skipIf(why !== undefined)("the sidecar killed", { timeout: 120_000 }, () => {
  beforeEach(async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, mib));
  });
  afterEach(() => pod.end());

  test.each([
    { dieAt: "Drain", state: "Online", outcome: "serves" },
    { dieAt: "Seize", state: "Online", outcome: "serves" },
    { dieAt: "Rehearse", state: "Online", outcome: "serves" },
    { dieAt: "Copy", state: "Online", outcome: "serves" },
    { dieAt: "Seal", state: "Online", outcome: "serves" },
    { dieAt: "Verify", state: "Online", outcome: "serves" },
    { dieAt: "Drop", state: "Online", outcome: "serves" },
    { dieAt: "Dropping", state: "Restarted", outcome: "gone" },
    { dieAt: "Park", state: "Restarted", outcome: "gone" },
    { dieAt: "Parked", state: "Restarted", outcome: "gone" },
    { dieAt: "Standby", state: "Standby", outcome: "serves" },
    { dieAt: "Check", state: "Standby", outcome: "serves" },
    { dieAt: "Restore", state: "Online", outcome: "serves" },
    { dieAt: "Restored", state: "Online", outcome: "serves" },
    { dieAt: "Continue", state: "Online", outcome: "serves" },
  ])("at $dieAt: the next one finds it $state, and it $outcome", async ({ dieAt, state, outcome }) => {
    const first = await pod.startSidecar({ dieAt });
    const frozen = await first.freeze("Image").catch(() => undefined);
    if (frozen) await first.thaw().catch(() => undefined);
    await first.ended;
    const second = await pod.startSidecar();
    expect(second.reports.at(-1)?.state).toBe(state);
    if (state === "Standby") expect((await second.thaw()).state).toBe("Online");
    expect(await expectServesOrGone()).toBe(outcome);
    expect(existsSync(join(pod.folder, "image")), "no image is left behind").toBe(false);
  });

  test.each(["Stop", "Standby", "Continue"])("at %s of a freeze alone: it serves", async (dieAt) => {
    const first = await pod.startSidecar({ dieAt });
    const frozen = await first.freeze("FreezeOnly").catch(() => undefined);
    if (frozen) await first.thaw().catch(() => undefined);
    await first.ended;
    const second = await pod.startSidecar();
    if (second.reports.at(-1)?.state === "Standby") await second.thaw();
    expect(await expectServesOrGone()).toBe("serves");
  });
});

describe.skipIf(why !== undefined)("a freeze is refused", { timeout: 60_000 }, () => {
  afterEach(() => pod.end());

  test("when the volume has no room for its image", async () => {
    pod = await Pod.start({ storageMib: mib });
    await pod.startApplication(applications.c(pod.port, mib));
    const report = await (await pod.startSidecar()).freeze("Image");
    // What it gets instead depends on whether this machine has swap just now.
    expect(report.state).toBe("Standby");
    expect(report.mode).not.toBe("Image");
    expect(report.message).toMatch(/^Image: the image's volume has 2\d MiB free, 1.2 times 2\d MiB is needed/);
  });

  test("when the volume fills up while the image is written; the application runs on unharmed", async () => {
    pod = await Pod.start({ storageMib: mib * 2 });
    await pod.startApplication(applications.c(pod.port, mib));
    const sidecar = await pod.startSidecar({ fillAt: "Copy" });
    const report = await sidecar.freeze("Image");
    // Neither is there room for the journal of another mode.
    expect(report).toMatchObject({ state: "Refused", reason: "DiskFull" });
    expect(await expectServesOrGone()).toBe("serves");
  });

  test("with a debugger attached", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, mib));
    const program = join(pod.folder, "tracer");
    copyFileSync(buildC("tracer"), program);
    // Inside the pod the application's id is the one that it answers with.
    const pid = (await pod.ask())!.split(" ")[1];
    const tracer = pod.run("app", [program, pid], "pipe");
    await new Promise((resolve) => tracer.stdout!.once("data", resolve));
    const sidecar = await pod.startSidecar();
    expect(await sidecar.freeze("Image")).toMatchObject({ state: "Refused", reason: "Traced" });
    expect(await expectServesOrGone()).toBe("serves");
  });

  test("when somebody else has stopped it; it stays as that left it", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, mib));
    for (const pid of pod.applicationPids) process.kill(pid, "SIGSTOP");
    const sidecar = await pod.startSidecar();
    expect(await sidecar.freeze("Image")).toMatchObject({ state: "Refused", reason: "Stopped" });
    expect(pod.states).toBe("T");
  });

  test("when a process that is not the pod's is seen", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, mib));
    pod.run("Elsewhere", ["sleep", "1000"]);
    await sleep(200);
    const sidecar = await pod.startSidecar();
    expect(await sidecar.freeze("Image")).toMatchObject({ state: "Refused", reason: "NotThePods" });
    expect(await expectServesOrGone()).toBe("serves");
  });

  test("when the process namespace is not shared", async () => {
    pod = await Pod.start();
    const wrap = ["unshare", "--pid", "--mount", "--fork", "--mount-proc"];
    expect(await (await pod.startSidecar({ wrap })).freeze("Image")).toMatchObject({
      state: "Refused",
      reason: "NotShared",
    });
  });

  test("when there is no application", async () => {
    pod = await Pod.start();
    expect(await (await pod.startSidecar()).freeze("Image")).toMatchObject({
      state: "Refused",
      reason: "NoApplication",
    });
  });

  test("to a sidecar of another user", async () => {
    pod = await Pod.start({ ownNetwork: true });
    pod.giveTo(65_534);
    await pod.startApplication(applications.c(pod.port, mib));
    const wrap = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"];
    const report = await (await pod.startSidecar({ wrap })).freeze("Image");
    expect(report).toMatchObject({ state: "Refused", reason: "SignalDenied" });
    expect(report.message).toMatch(/^Image: .*cannot be read \(EACCES\)/);
    expect(await expectServesOrGone()).toBe("serves");
  });

  test("its memory, to a sidecar with fewer capabilities than the application, which is only stopped", async () => {
    pod = await Pod.start({ ownNetwork: true });
    await pod.startApplication(applications.c(pod.port, mib));
    const sidecar = await pod.startSidecar({
      wrap: ["setpriv", "--bounding-set=-all", "--inh-caps=-all"],
    });
    expect(await sidecar.freeze("Image")).toMatchObject({ state: "Standby", mode: "FreezeOnly" });
    expect(await sidecar.thaw()).toMatchObject({ state: "Online" });
    expect(await expectServesOrGone()).toBe("serves");
  });

  test.each([
    { name: "locked memory", words: ["0", "40"], reason: /Image: \d+ MiB of \d+ MiB resident memory is locked/ },
    {
      name: "memory shared after a fork",
      words: ["2"],
      reason: /Image: \d+ MiB of \d+ MiB resident memory is locked, huge or shared/,
    },
  ])("its memory, for much $name", async ({ words, reason }) => {
    pod = await Pod.start();
    const { command } = applications.c(pod.port, mib);
    await pod.startApplication({ command: [...command.slice(0, 3), ...words] });
    const report = await (await pod.startSidecar()).freeze("Image");
    expect(report).toMatchObject({ state: "Standby", mode: "FreezeOnly" });
    expect(report.message).toMatch(reason);
  });

  test("its memory, when there is too little of it", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, 4));
    const report = await (await pod.startSidecar()).freeze("Image");
    expect(report).toMatchObject({ state: "Standby", mode: "FreezeOnly" });
    expect(report.message).toMatch(/the application has [4-6] MiB of anonymous memory/);
  });

  test("while a client's connection is used", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, mib));
    const close = await pod.hold();
    const sidecar = await pod.startSidecar({
      limits: { drain: { pollMs: 20, quietMs: 60_000, owedMs: 60_000, limitMs: 500 } },
    });
    expect(await sidecar.freeze("Image")).toMatchObject({ state: "Refused", reason: "Busy" });
    close();
    expect(await expectServesOrGone()).toBe("serves");
  });
});
