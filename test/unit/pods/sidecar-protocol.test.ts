import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { lineOf, readLines } from "../../../src/pods/message-lines.ts";
import { readServerMessage, readSidecarMessage, sidecarStates } from "../../../src/pods/sidecar-protocol.ts";
import { desiredStateOf, type StandbyPod, standbyClaim } from "../../../src/pods/standby-condition.ts";

function pod(
  state: string | undefined,
  gate: string | undefined,
  more: Partial<StandbyPod["metadata"]> = {},
): StandbyPod {
  return {
    metadata: { labels: state === undefined ? {} : { "forescale.io/pod-state": state }, ...more },
    status: { conditions: gate === undefined ? [] : [{ type: "forescale.io/online", status: gate }] },
  };
}

describe("the wish", () => {
  test.each([
    { name: "an online pod runs", state: undefined, gate: "True", wish: "Online" },
    { name: "a pod cut off runs", state: "Cutoff", gate: "False", wish: "Online" },
    { name: "a pod on standby, out of rotation, is frozen", state: "Standby", gate: "False", wish: "Standby" },
    { name: "a pod that may still get traffic is not frozen", state: "Standby", gate: "True", wish: "Online" },
    { name: "a pod without a gate is never frozen", state: "Standby", gate: undefined, wish: "Online" },
  ])("$name", ({ state, gate, wish }) => {
    expect(desiredStateOf(pod(state, gate)).state).toBe(wish);
  });

  test("a pod that is being deleted runs, to hear of it", () => {
    expect(desiredStateOf(pod("Standby", "False", { deletionTimestamp: "2026-11-22T12:00:00Z" })).state).toBe("Online");
  });

  test("carries the mode that its annotation asks for, and no other word", () => {
    const asked = (mode: string) => pod("Standby", "False", { annotations: { "forescale.io/standby-mode": mode } });
    const labelled = (mode: string) => ({
      ...asked(mode),
      metadata: { ...asked(mode).metadata, labels: { "forescale.io/pod-state": "Standby" } },
    });
    expect(desiredStateOf(labelled("Swap"))).toEqual({ type: "want", state: "Standby", mode: "Swap" });
    expect(desiredStateOf(labelled("rm -rf"))).toEqual({ type: "want", state: "Standby" });
  });
});

test("the wish names the other native sidecars that run on, and is read as it was written", () => {
  const id = (letter: string) => letter.repeat(64);
  const { metadata, status } = pod("Standby", "False");
  const wish = desiredStateOf({
    metadata,
    spec: {
      initContainers: [
        { name: "prepare" },
        { name: "istio-proxy", restartPolicy: "Always" },
        { name: "not-started", restartPolicy: "Always" },
        { name: "forescale-sidecar", restartPolicy: "Always" },
      ],
    },
    status: {
      ...status,
      initContainerStatuses: [
        { name: "prepare", containerID: `containerd://${id("a")}` },
        { name: "istio-proxy", containerID: `containerd://${id("b")}` },
        { name: "not-started" },
        { name: "forescale-sidecar", containerID: `containerd://${id("c")}` },
      ],
    },
  });
  expect(wish).toEqual({ type: "want", state: "Standby", beside: [id("b")] });
  expect(readServerMessage(JSON.parse(JSON.stringify(wish)))).toEqual(wish);
  // What names everything names nothing.
  expect(readServerMessage({ ...wish, beside: ["", "cri", 7, "../../x", id("b")] })).toEqual(wish);
});

describe("the condition", () => {
  test("is True in Standby alone, and always has a reason and a message", () => {
    for (const state of sidecarStates) {
      const { status, reason, message } = standbyClaim({ type: "report", state });
      expect(status).toBe(state === "Standby" ? "True" : "False");
      expect(reason).toMatch(/^[A-Za-z]+$/);
      expect(message).not.toBe("");
    }
  });

  test("says how much was given back, and why something was refused", () => {
    expect(standbyClaim({ type: "report", state: "Standby", mode: "Image", savedBytes: 512 * 2 ** 20 })).toEqual({
      status: "True",
      reason: "Image",
      message: "frozen, 512 MiB of memory given back",
    });
    const refusal = {
      type: "report",
      state: "Refused",
      reason: "ExecProbe",
      message: "web has an exec probe",
    } as const;
    expect(standbyClaim(refusal).message).toBe("ExecProbe: web has an exec probe");
  });
});

describe("messages", () => {
  test("lines come out as they went in, however the bytes are cut", () => {
    const message = fc.record({ text: fc.string(), number: fc.integer() });
    fc.assert(
      fc.property(fc.array(fc.option(message, { nil: undefined })), fc.array(fc.nat(40)), (messages, cuts) => {
        const bytes = Buffer.from(messages.map((each) => (each ? lineOf(each) : "\n")).join(""));
        const heard: unknown[] = [];
        const take = readLines((value) => heard.push(value));
        let from = 0;
        for (const cut of cuts) {
          take(bytes.subarray(from, from + cut));
          from = Math.min(bytes.length, from + cut);
        }
        take(bytes.subarray(from));
        expect(heard).toEqual(messages);
      }),
    );
  });

  test("what a tenant's program says is taken only in its shape, cut to what a condition takes", () => {
    fc.assert(
      fc.property(fc.anything(), (value) => {
        const message = readSidecarMessage(value);
        if (message?.type === "report") {
          expect(sidecarStates).toContain(message.state);
          expect((message.message ?? "").length).toBeLessThanOrEqual(1000);
        }
        readServerMessage(value);
      }),
    );
    const long = { type: "report", state: "Failed", reason: "no word", message: "x".repeat(5000), savedBytes: -1 };
    expect(readSidecarMessage(long)).toEqual({ type: "report", state: "Failed", message: "x".repeat(1000) });
    expect(readSidecarMessage({ type: "report", state: "Dancing" })).toBeUndefined();
    expect(readServerMessage({ type: "want", state: "Frozen" })).toBeUndefined();
    expect(readServerMessage({ type: "want", state: "Standby", mode: "Swap" })).toEqual({
      type: "want",
      state: "Standby",
      mode: "Swap",
    });
  });
});
