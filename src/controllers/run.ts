import { apiVersion } from "../api/kinds.ts";
import { controllerLease } from "../api/labels.ts";
import type { KubeClient } from "../kube/client/client.ts";
import { isKubeError, type KubeError } from "../kube/client/kube-error.ts";
import { preflight } from "../kube/client/preflight.ts";
import type { Log } from "../kube/log.ts";
import { acquireLeadership, type Leadership } from "../kube/loop/leader-election.ts";
import { kubeMetrics } from "../kube/metrics.ts";
import { quieted } from "../kube/quiet-log.ts";
import type { ControllerOptions } from "./options.ts";
import { runTicks } from "./tick.ts";
import { allSynced, watchObjects } from "./watched-objects.ts";
import { wireControllers } from "./wiring.ts";

/**
 * Runs all controllers until the signal is aborted, as the holder of the Lease.
 *
 * @throws KubeError `NotLeader` when the Lease is lost: the process then ends, so that no late write can happen; another one when
 * the API server cannot be worked with from the start
 */
export async function runControllers(options: ControllerOptions, signal: AbortSignal): Promise<void> {
  const { client, namespace, identity, log, registry } = options;
  const metrics = kubeMetrics(registry);
  const quiet = quieted(log);
  const lease = { namespace, name: controllerLease };
  try {
    await preflight({ client, lease, log: quiet }, signal);
    await warnOfMissingKinds(client, signal, log);
  } catch (error) {
    if (signal.aborted) return;
    throw error;
  }
  const stopped = new AbortController();
  const stop = () => stopped.abort(signal.reason);
  if (signal.aborted) return;
  signal.addEventListener("abort", stop, { once: true });

  // Caches fill while this process waits for the Lease, so that a hand-over is quick.
  const watched = watchObjects({ client, metrics, log: quiet }, stopped.signal);
  let leadership: Leadership | undefined;
  let lost: KubeError | undefined;
  try {
    leadership = await acquireLeadership({ client, lease, identity, metrics, log: quiet }, stopped.signal, (error) => {
      lost = error;
      stopped.abort(error);
    });
    log.info("leading", { term: leadership.term });
    await allSynced(watched, stopped.signal);
    const wired = await wireControllers({ ...options, leadership, metrics, watched });
    try {
      options.onReady?.();
      await runTicks({ ...wired, tickMs: options.tickMs, log, signal: stopped.signal, now: Date.now });
    } finally {
      await wired.close();
    }
  } catch (error) {
    if (!stopped.signal.aborted) throw error;
  } finally {
    stopped.abort();
    await leadership?.release();
    signal.removeEventListener("abort", stop);
  }
  if (lost) throw lost;
}

/** Warns where our kinds are not installed yet; the caches wait for them. */
async function warnOfMissingKinds(client: KubeClient, signal: AbortSignal, log: Log): Promise<void> {
  try {
    await client.call({ path: `/apis/${apiVersion}`, resource: "discovery", signal });
  } catch (error) {
    if (!isKubeError(error, "NotFound")) throw error;
    const remedy = "install them with `kubectl apply --server-side -k manifests`; the controller waits for them";
    log.warn("the custom resource definitions are not installed", { apiVersion, remedy });
  }
}
