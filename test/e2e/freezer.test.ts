import { createDecipheriv } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { applications, Pod, whyNoPods } from "./standby/rig.ts";

const why = whyNoPods();
if (why) console.warn(`the freezer is not tested: ${why}`);

/** Several processes share memory after a fork, which would be refused otherwise. */
const sharing = { preflight: { leastAnonymousBytes: 8 * 2 ** 20, largestUnmovableShare: 1 } };

let pod: Pod | undefined;
afterEach(async () => {
  await pod?.end();
  pod = undefined;
});

describe.skipIf(why !== undefined)("an application frozen to an image", { timeout: 180_000 }, () => {
  test.each([
    { name: "a C program with threads in many calls", kind: "c", mib: 96, children: 0, least: 0.99 },
    { name: "a C program with children that share its memory", kind: "c", mib: 48, children: 2, least: 0.99 },
    { name: "a Node server", kind: "node", mib: 64, children: 0, least: 0.95 },
    { name: "a JVM server", kind: "jvm", mib: 160, children: 0, least: 0.97 },
  ] as const)("$name answers rightly after each of five freezes", async ({ kind, mib, children, least }) => {
    pod = await Pod.start();
    await pod.startApplication(applications[kind](pod.port, mib, children));
    const answer = await pod.ask("check");
    expect(answer).toMatch(/^ok/);
    const sidecar = await pod.startSidecar({ limits: children > 0 ? sharing : {} });
    for (let cycle = 0; cycle < 5; cycle++) {
      const before = pod.anonymousBytes;
      const report = await sidecar.freeze("Image");
      expect(report).toMatchObject({ state: "Standby", mode: "Image" });
      expect(pod.states).toMatch(/^T+$/);
      const given = before - pod.anonymousBytes;
      expect(given / before).toBeGreaterThan(least);
      expect(Math.abs(given - report.savedBytes!) / given).toBeLessThan(0.02);
      expect(await pod.ask("", 200), "a frozen application does not answer").toBeUndefined();

      expect(await sidecar.thaw()).toEqual({ type: "report", state: "Online" });
      expect(await pod.ask("check"), `cycle ${cycle}: the same process, every byte right`).toBe(answer);
    }
  });

  test("what it is while it goes there and comes back, is reported in order", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, 16));
    const sidecar = await pod.startSidecar();
    await sidecar.freeze("Image");
    expect(await sidecar.freeze("Swap"), "a wish that is fulfilled changes nothing").toMatchObject({ mode: "Image" });
    await sidecar.thaw();
    await sidecar.thaw();
    expect(sidecar.reports.map(({ state }) => state)).toEqual([
      ...["Online", "Draining", "Freezing", "Standby", "Resuming", "Online"],
    ]);
  });

  test("a request that is worked on gets its answer first; a connection in constant use is Busy, an unused one is not", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.node(pod.port, 16));
    const sidecar = await pod.startSidecar();
    let answer = "";
    void pod.ask("slow").then((text) => {
      answer = text ?? "none";
    });
    await sleep(200);
    expect(await sidecar.freeze("Image")).toMatchObject({ state: "Standby", mode: "Image" });
    expect(answer, "answered before the freeze").toBe("slow");
    await sidecar.thaw();

    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { url } = pod;
    const ask = () =>
      new Promise<void>((resolve, reject) => {
        const asked = request(`${url}kept`, { agent }, (response) => response.resume().once("end", resolve));
        asked.once("error", reject).end();
      });
    await ask();
    let isUsed = true;
    const use = (async () => {
      for (; isUsed; await sleep(100)) await ask();
    })();
    expect(await sidecar.freeze("Image")).toMatchObject({ state: "Refused", reason: "Busy" });
    isUsed = false;
    await use;
    expect(await sidecar.freeze("Image")).toMatchObject({ state: "Standby", mode: "Image" });
    await sidecar.thaw();
    await ask();
    agent.destroy();
  });

  test("the image is AES-256-GCM as another implementation opens it, and shows no plain text", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, 16));
    await (await pod.startSidecar()).freeze("Image");
    const image = readFileSync(join(pod.folder, "image"));
    const key = readFileSync(join(pod.keyFolder, "key"));
    const [block, slotBytes, textAt] = [4096, 65 * 4096, 4096 - 1040];
    const slots = (image.length - block) / slotBytes;
    let pages = 0;
    for (let slot = 0; slot < slots; slot++) {
      const bytes = image.subarray(block + slot * slotBytes, block + (slot + 1) * slotBytes);
      const nonce = Buffer.alloc(12);
      nonce.writeUInt32BE(2, 0);
      nonce.writeBigUInt64BE(BigInt(slot), 4);
      const cipher = createDecipheriv("aes-256-gcm", key, nonce).setAuthTag(bytes.subarray(0, 16));
      const text = Buffer.concat([cipher.update(bytes.subarray(textAt)), cipher.final()]);
      pages += text.readUInt32LE(4);
    }
    expect(pages, "pages of zeros, a quarter, are not kept").toBeGreaterThan((16 * 256 * 3) / 4 - 10);
    expect(pages).toBeLessThan(16 * 256);
    // A quarter of the pages repeat one small number, as page 5 does.
    expect(image.includes(Buffer.alloc(64, Buffer.from([5, 0, 0, 0, 0, 0, 0, 0])))).toBe(false);
  });

  test("one user, no capability and no new privileges are enough", async () => {
    pod = await Pod.start();
    pod.giveTo(65_534);
    const nobody = [
      "setpriv",
      "--reuid=65534",
      "--regid=65534",
      "--clear-groups",
      "--no-new-privs",
      "--bounding-set=-all",
    ];
    const { command } = applications.c(pod.port, 32);
    await pod.startApplication({ command: [...nobody, "--inh-caps=-all", ...command] });
    const sidecar = await pod.startSidecar({ wrap: [...nobody, "--inh-caps=-all"] });
    expect(await sidecar.freeze("Image")).toMatchObject({ state: "Standby", mode: "Image" });
    expect(await sidecar.thaw()).toMatchObject({ state: "Online" });
    expect(await pod.ask("check")).toMatch(/^ok/);
  });

  test("a user namespace (hostUsers: false) is no hindrance; swap mode, which it forbids, becomes a freeze alone", async () => {
    pod = await Pod.start({ ownUsers: true });
    await pod.startApplication(applications.c(pod.port, 32));
    const answer = await pod.ask("check");
    const sidecar = await pod.startSidecar();
    const before = pod.anonymousBytes;
    expect(await sidecar.freeze("Image")).toMatchObject({ state: "Standby", mode: "Image" });
    expect(pod.anonymousBytes / before).toBeLessThan(0.05);
    expect(await sidecar.thaw()).toMatchObject({ state: "Online" });
    expect(await pod.ask("check")).toBe(answer);
    expect(await sidecar.freeze("Swap")).toMatchObject({ state: "Standby", mode: "FreezeOnly" });
    await sidecar.thaw();
    expect(await pod.ask("check")).toBe(answer);
  });

  test("a sidecar that comes after one that was killed goes on in Standby and brings the application back", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, 32));
    const first = await pod.startSidecar();
    await first.freeze("Image");
    first.killHard();
    await first.ended;
    const second = await pod.startSidecar();
    expect(second.reports.at(-1)).toMatchObject({ state: "Standby", mode: "Image" });
    expect(await second.thaw()).toMatchObject({ state: "Online" });
    expect(await pod.ask("check")).toMatch(/^ok/);
  });

  test("a freeze ends by itself at its limit", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, 16));
    const sidecar = await pod.startSidecar({ limits: { longestFreezeMs: 1000 } });
    expect(await sidecar.freeze("Image")).toMatchObject({ state: "Standby" });
    await sidecar.untilNext("Online");
    expect(await pod.ask("check")).toMatch(/^ok/);
  });

  test("asked to end while it is frozen, it is thawed and ends", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, 16));
    const sidecar = await pod.startSidecar();
    await sidecar.freeze("Image");
    for (const pid of pod.applicationPids) process.kill(pid, "SIGTERM");
    expect(await sidecar.untilNext("Restarted")).toMatchObject({ reason: "Gone" });
    expect(await pod.isGone()).toBe(true);
  });

  test("a thaw that is asked for during the freeze calls it off", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, 64));
    const sidecar = await pod.startSidecar();
    const frozen = sidecar.freeze("Image");
    await sidecar.untilNext("Freezing");
    const thawed = sidecar.thaw();
    expect(await frozen).toMatchObject({ state: "Online" });
    expect(await thawed).toMatchObject({ state: "Online" });
    expect(sidecar.reports.map(({ state }) => state)).not.toContain("Standby");
    expect(await pod.ask("check")).toMatch(/^ok/);
  });

  test("only stopped, it gives no memory back and comes back at once", async () => {
    pod = await Pod.start();
    await pod.startApplication(applications.c(pod.port, 16, 2));
    const sidecar = await pod.startSidecar();
    expect(await sidecar.freeze("FreezeOnly")).toMatchObject({ state: "Standby", mode: "FreezeOnly", savedBytes: 0 });
    expect(pod.states).toBe("TTT");
    expect(await sidecar.thaw()).toMatchObject({ state: "Online" });
    expect(await pod.ask("check")).toMatch(/^ok/);
  });
});
