import { describe } from "vitest";
import { externalKubeconfig, whyNoCluster, whyNoControlPlane } from "./available.ts";

/** Whether a suite that cannot run is to fail (FORESCALE_TEST_STRICT=1, as in CI) rather than be skipped. */
export function isStrict(): boolean {
  return process.env.FORESCALE_TEST_STRICT === "1";
}

/** A `describe` for tests that any cluster will do for, a person's own included. */
export function describeCluster(name: string, suite: () => void): void {
  describeUnless(whyNoCluster(), name, suite);
}

/**
 * A `describe` for tests that need a control plane of our own: they choose its flags, stop its parts, or need its
 * authorities. Skipped, even when strict, for a person who brings a cluster.
 */
export function describeControlPlane(name: string, suite: () => void): void {
  if (externalKubeconfig())
    skip("it needs a control plane of its own, not that of FORESCALE_TEST_KUBECONFIG.", name, suite);
  else describeUnless(whyNoControlPlane(), name, suite);
}

/** A `describe` that is skipped with the reason in its name, or runs (and so fails) when strict. */
export function describeUnless(reason: string | undefined, name: string, suite: () => void): void {
  if (reason === undefined || isStrict()) describe(name, suite);
  else skip(reason, name, suite);
}

function skip(reason: string, name: string, suite: () => void): void {
  // Most reporters do not show the names of what is skipped.
  process.stderr.write(`Skipped "${name}": ${reason}\n`);
  describe.skip(`${name} (skipped: ${reason})`, suite);
}
