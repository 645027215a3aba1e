import { X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import {
  defaultLifetimes,
  planRotation,
  type RotationInputs,
  rotate,
  type StoredCertificates,
} from "../../../../src/serve/tls/certificate-rotation.ts";
import {
  covers,
  isAging,
  isKeyOf,
  isSignedBy,
  issueAuthority,
  issueServing,
} from "../../../../src/serve/tls/certificates.ts";

const names = ["forescale-server.forescale-system.svc", "127.0.0.1"];
const startMs = Date.now();
const dayMs = 86_400_000;
const empty: StoredCertificates = { authority: undefined, next: undefined, bundle: "", serving: undefined };

const inputs = (stored: StoredCertificates, more: Partial<RotationInputs> = {}): RotationInputs => ({
  stored,
  names,
  publishedForMs: undefined,
  lifetimes: defaultLifetimes,
  nowMs: startMs,
  ...more,
});
const bundleSize = ({ bundle }: StoredCertificates) => bundle.match(/BEGIN/g)?.length ?? 0;

let first: StoredCertificates;
beforeAll(async () => {
  first = await rotate("CreateAuthority", inputs(empty));
});

describe("what is issued", () => {
  test("stands for its names and is signed by its authority, as Node verifies it", () => {
    const [authority, serving] = [first.authority!, first.serving!].map(
      (pair) => new X509Certificate(pair.certificate),
    );
    expect(covers(serving, names)).toBe(true);
    expect(covers(serving, [...names, "another.svc"])).toBe(false);
    expect(isSignedBy(serving, authority, startMs)).toBe(true);
    expect(isSignedBy(serving, authority, startMs + 8 * dayMs)).toBe(false);
    expect(isKeyOf(first.serving!.key, serving)).toBe(true);
    expect(isKeyOf(first.authority!.key, serving)).toBe(false);
    expect(isKeyOf("no key", serving)).toBe(false);
    expect(authority.ca).toBe(true);
    expect(serving.ca).toBe(false);
    expect(serving.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  });

  test("is old when a third of its life is left", async () => {
    const authority = await issueAuthority("ca", 30_000, startMs);
    const certificate = new X509Certificate((await issueServing(authority, names, 9000, startMs)).certificate);
    expect(isAging(certificate, startMs + 4000)).toBe(false);
    expect(isAging(certificate, startMs + 8000)).toBe(true);
  });
});

describe("the next step of rotation", () => {
  test("is to begin where there is nothing, and then to rest", () => {
    expect(planRotation(inputs(empty))).toBe("CreateAuthority");
    expect(planRotation(inputs(first))).toBe("Nothing");
    expect(bundleSize(first)).toBe(1);
  });

  test("is to begin anew when the authority's key is lost, keeping what others may still serve", async () => {
    const stored = { ...first, authority: { ...first.authority!, key: first.serving!.key } };
    expect(planRotation(inputs(stored))).toBe("CreateAuthority");
    expect(bundleSize(await rotate("CreateAuthority", inputs(stored)))).toBe(2);
  });

  test("is to begin anew when the bundle does not hold the authority", () => {
    expect(planRotation(inputs({ ...first, bundle: "" }))).toBe("CreateAuthority");
    expect(planRotation(inputs({ ...first, bundle: "garbage" }))).toBe("CreateAuthority");
  });

  test.each([
    { name: "ages", change: { nowMs: startMs + 5 * dayMs } },
    { name: "has ended", change: { nowMs: startMs + 8 * dayMs } },
    { name: "lacks a name", change: { names: [...names, "new.svc"] } },
  ])("is a new leaf when the old one $name", async ({ change }) => {
    const given = inputs(first, change);
    expect(planRotation(given)).toBe("RenewServing");
    const renewed = await rotate("RenewServing", given);
    expect(planRotation({ ...given, stored: renewed })).toBe("Nothing");
    expect(renewed.bundle).toBe(first.bundle);
  });

  test("is a new leaf when the stored one is gone or broken", () => {
    expect(planRotation(inputs({ ...first, serving: undefined }))).toBe("RenewServing");
    expect(planRotation(inputs({ ...first, serving: { certificate: "x", key: "y" } }))).toBe("RenewServing");
  });

  test("an authority is published before it signs, and stays published after its last use", async () => {
    let nowMs = startMs + 250 * dayMs; // two thirds of a year
    let stored = await rotate("RenewServing", inputs(first, { nowMs }));
    expect(planRotation(inputs(stored, { nowMs }))).toBe("IntroduceAuthority");

    stored = await rotate("IntroduceAuthority", inputs(stored, { nowMs }));
    expect(bundleSize(stored)).toBe(2);
    const before = stored.serving;
    for (const publishedForMs of [undefined, 0, defaultLifetimes.settleMs - 1])
      expect(planRotation(inputs(stored, { nowMs, publishedForMs }))).toBe("Nothing");

    const published = { nowMs, publishedForMs: defaultLifetimes.settleMs };
    expect(planRotation(inputs(stored, published))).toBe("PromoteAuthority");
    stored = await rotate("PromoteAuthority", inputs(stored, published));
    expect(stored.serving).not.toEqual(before);
    expect(bundleSize(stored)).toBe(2);
    expect(planRotation(inputs(stored, { nowMs }))).toBe("Nothing");

    nowMs += defaultLifetimes.overlapMs + 120_000;
    expect(planRotation(inputs(stored, { nowMs }))).toBe("PruneBundle");
    stored = await rotate("PruneBundle", inputs(stored, { nowMs }));
    expect(bundleSize(stored)).toBe(1);
    expect(stored.bundle.trim()).toBe(stored.authority!.certificate.trim());
    expect(planRotation(inputs(stored, { nowMs }))).toBe("Nothing");
  });

  test("no leaf outlives its authority", async () => {
    const nowMs = startMs + 363 * dayMs;
    const stored = await rotate("RenewServing", inputs(first, { nowMs }));
    const [authority, serving] = [stored.authority!, stored.serving!].map(
      (pair) => new X509Certificate(pair.certificate),
    );
    expect(serving.validToDate.getTime()).toBeLessThanOrEqual(authority.validToDate.getTime());
  });
});
