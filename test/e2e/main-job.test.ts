import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ensureBinaries } from "../cluster/binaries.ts";
import { addDeployment } from "../cluster/objects.ts";
import { waitFor } from "../cluster/processes.ts";
import { whyNoPrometheus } from "../cluster/prometheus.ts";
import { valueAt } from "../cluster/replay.ts";
import { describeControlPlane, describeUnless } from "../cluster/suite.ts";
import { type Rig, startRig } from "./rig.ts";

/**
 * The bundled trace in three positions, in seconds after the start. Departures jump from 2 to 26 a minute at 05:55 of one day, and
 * fall from 75 to 16 at 06:31 of another, for a quarter of an hour, so with one pod a departure the fleet has to follow.
 */
const schedule = { fall: 60, ramp: 420, blindRamp: 830 } as const;
const outage = { from: 110, seconds: 40 } as const;
const controllersKilled = 490;

/** Time that a pod needs. The lead has room for it, for the age of the metric, for a tick and for the HPA's sync. */
const startupSeconds = 15;
const leadSeconds = 75;
const most = 60;

/** What was seen of a workload, once a second. */
interface Sight {
  readonly second: number;
  readonly replicas: number;
  readonly ready: number;
  readonly wanted: number | undefined;
  readonly rung: string | undefined;
}

const prometheusOrNot = (name: string, suite: () => void) => describeUnless(whyNoPrometheus(), name, suite);

prometheusOrNot("with a real Prometheus", () => {
  describeControlPlane("the main job: history in, a native HPA that scales ahead of the load", () => {
    let rig: Rig;
    const sights = new Map<string, Sight[]>();
    const watching = new AbortController();

    beforeAll(async () => {
      rig = await startRig([
        { metric: "fall_departures", anchor: "2001-06-13T06:31:00Z", inSeconds: schedule.fall },
        { metric: "ramp_departures", anchor: "2001-06-12T05:55:00Z", inSeconds: schedule.ramp },
        { metric: "blind_departures", anchor: "2001-06-12T05:55:00Z", inSeconds: schedule.blindRamp },
      ]);
      for (const [name, replicas, mode] of [
        ["fall", most, "Auto"],
        ["ramp", 3, "Auto"],
        ["blind", 3, "Auto"],
        ["peek", 2, "Preview"],
      ] as const) {
        await addDeployment(rig.plane.kubectl, { name, replicas, startupSeconds });
        await rig.plane.kubectl(["apply", "-f", "-"], autoscaler(name, mode));
      }
      await rig.startController();
      void watch(rig, ["fall", "ramp", "blind", "peek"], sights, watching.signal);
    }, 900_000);

    afterAll(async () => {
      watching.abort();
      await rig?.stop();
    });

    // On a slow machine a test may begin later than planned; what is looked at begins with it.
    const second = () => (Date.now() - rig.startedMs) / 1000;
    const until = (at: number) => sleep(Math.max(0, at - second()) * 1000);
    const between = (name: string, from: number, to: number) =>
      (sights.get(name) ?? []).filter(({ second }) => second >= from && second <= to);
    const load = (metric: string, second: number) => valueAt(rig.loads.get(metric)!, rig.startedMs + second * 1000);

    test("the manifests apply without a warning", async () => {
      const { stderr } = await kubectlOutput(rig, [
        "apply",
        "--server-side",
        "--dry-run=server",
        "-k",
        `${import.meta.dirname}/host-overlay`,
      ]);
      expect(stderr).toBe("");
    });

    test("each IHPA gets its HPA, profile and portraits, and says so in its columns", async () => {
      await waitFor("a decision", async () => (await jsonOf(rig, "ihpa", "ramp")).status?.decision?.rung === "Fresh");
      const text = await rig.plane.kubectl(["get", "ihpa,hp,rp,hpa"]);
      for (const name of ["ihpa/ramp", "ramp-predictive", "ramp-reactive", "replicaprofile", "forescale-ramp"])
        expect(text.replaceAll("intelligenthorizontalpodautoscaler.autoscaling.forescale.io", "ihpa")).toContain(name);
      // A first decision may be written before the HPA has its name.
      await waitFor("its HPA's name", async () => (await jsonOf(rig, "ihpa", "ramp")).status.hpa?.name !== undefined);
      const { status } = await jsonOf(rig, "ihpa", "ramp");
      expect(status.hpa).toMatchObject({ mode: "Managed", name: "forescale-ramp", toleranceBand: "0%" });
      // The HPA may have looked before the number was there.
      await waitFor("Ready", async () => {
        const { conditions } = (await jsonOf(rig, "ihpa", "ramp")).status;
        return conditions.find(({ type }: { type: string }) => type === "Ready").status === "True";
      });
    }, 60_000);

    test("a rolling restart of the servers fails no request", async () => {
      const path =
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/forescale-replicas?labelSelector=forescale.io%2Fihpa%3Dramp";
      const asked = { good: 0, bad: [] as string[] };
      const stop = new AbortController();
      const asking = Array.from({ length: 4 }, async () => {
        while (!stop.signal.aborted) {
          const answer = await rig.get(path).catch((error: Error) => ({ status: 0, body: error.message }));
          if (answer.status === 200) asked.good++;
          else asked.bad.push(`${answer.status} ${answer.body}`);
          await sleep(10);
        }
      });
      for (const server of rig.servers) {
        // As in a cluster: TERM and the removal from the endpoints happen at about the same time.
        const ended = server.terminate();
        await rig.takeOut(server);
        await ended;
        await server.start();
        await rig.putBack(server);
      }
      stop.abort();
      await Promise.all(asking);
      expect(asked.bad).toEqual([]);
      expect(asked.good).toBeGreaterThan(500);
    }, 120_000);

    test("the metrics store dies: nothing shrinks, and the status says so; it comes back: fresh again", async () => {
      await until(outage.from);
      const before = (await jsonOf(rig, "deployment", "ramp")).spec.replicas;
      await rig.prometheus.kill();
      const killed = second();
      await waitFor(
        "a rung below Fresh",
        async () => (await jsonOf(rig, "ihpa", "ramp")).status.decision.rung === "Coasting",
      );
      await until(killed + outage.seconds);
      for (const { replicas } of between("ramp", killed + 5, killed + outage.seconds))
        expect(replicas).toBeGreaterThanOrEqual(before);
      // An Event tells of trouble that lasts, so it comes some ticks later.
      await waitFor("the Event of it", async () => {
        const text = "jsonpath={range .items[*]}{.reason} {.note}{.message}{'\\n'}{end}";
        return /FallbackEntered .*Coasting/.test(await rig.plane.kubectl(["get", "events", "-o", text]));
      });
      await rig.prometheus.restart();
      await waitFor("the rung Fresh", async () => (await jsonOf(rig, "ihpa", "ramp")).status.decision.rung === "Fresh");
    }, 300_000);

    test("replicas go down after the load has gone", async () => {
      await waitFor(
        "fewer replicas",
        async () => Math.min(...between("fall", 0, second()).map(({ replicas }) => replicas)) <= 0.75 * most,
        { timeoutMs: 400_000, everyMs: 1000 },
      );
      // Down is late, never early: what ran always covered the load.
      for (const sight of between("fall", 60, 400))
        expect(sight.replicas).toBeGreaterThanOrEqual(Math.floor(load("fall_departures", sight.second - 20)));
    }, 420_000);

    test("replicas are there before the load comes", async () => {
      await until(schedule.ramp + 60);
      const high = 20;
      const arrival = Array.from({ length: 200 }, (_, k) => schedule.ramp - 100 + k).find(
        (second) => load("ramp_departures", second) >= high,
      )!;
      // At night, before the forecast sees the morning, there are few.
      const night = between("ramp", schedule.ramp - 380, schedule.ramp - 330);
      expect(Math.min(...night.map(({ replicas }) => replicas))).toBeLessThan(0.8 * high);
      const seen = between("ramp", arrival - 90, arrival + 5)
        .map(({ second, replicas, ready }) => `${second.toFixed(0)} s: ${replicas}, ${ready} ready`)
        .join("; ");
      const ahead = between("ramp", 0, arrival - startupSeconds).at(-1)!;
      expect(load("ramp_departures", arrival - startupSeconds)).toBeLessThan(high);
      expect(ahead.replicas, seen).toBeGreaterThanOrEqual(high);
      expect(between("ramp", arrival, arrival + 5)[0].ready, seen).toBeGreaterThanOrEqual(high * 0.9);
    }, 600_000);

    test("Preview changes nothing in the workload and shows what would have happened", async () => {
      expect(new Set(between("peek", 0, 1e9).map(({ replicas }) => replicas))).toEqual(new Set([2]));
      const { status } = await jsonOf(rig, "ihpa", "peek");
      expect(status.desiredReplicas).toBeGreaterThan(2);
      expect(status.conditions.find(({ type }: { type: string }) => type === "ScalingActive")).toMatchObject({
        status: "False",
        reason: "Preview",
        message: expect.stringMatching(/would go from 2 to \d+/),
      });
      await expect(rig.plane.kubectl(["get", "hpa", "forescale-peek"])).rejects.toThrow(/not found/);
    });

    test("with all controllers stopped, the published portrait still scales up, and nothing scales down", async () => {
      await until(controllersKilled);
      await rig.killController();
      const killed = second();
      const before = (await jsonOf(rig, "deployment", "blind")).spec.replicas;
      expect(before).toBeLessThan(15);
      await until(schedule.blindRamp + 20);
      const after = between("blind", schedule.blindRamp - 10, schedule.blindRamp + 15);
      expect(Math.max(...after.map(({ replicas }) => replicas))).toBeGreaterThanOrEqual(18);
      for (const name of ["fall", "ramp", "blind"]) {
        const seen = between(name, killed + 10, schedule.blindRamp + 15).map(({ replicas }) => replicas);
        for (const [k, replicas] of seen.entries()) if (k > 0) expect(replicas).toBeGreaterThanOrEqual(seen[k - 1]);
      }
    }, 480_000);

    test("a controller that starts again goes on from what is there", async () => {
      const before = (await jsonOf(rig, "deployment", "blind")).spec.replicas;
      await rig.startController();
      await waitFor("a fresh decision", async () => {
        const { status } = await jsonOf(rig, "ihpa", "blind");
        return status.decision.rung === "Fresh" && Date.parse(status.decision.time) > Date.now() - 20_000;
      });
      expect((await jsonOf(rig, "deployment", "blind")).spec.replicas).toBeGreaterThanOrEqual(before - 3);
    }, 120_000);
  });
});

function autoscaler(name: string, scaleMode: string): object {
  const metric = name === "peek" ? "ramp" : name;
  return {
    apiVersion: "autoscaling.forescale.io/v1alpha1",
    kind: "IntelligentHorizontalPodAutoscaler",
    metadata: { name, namespace: "default" },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name },
      minReplicas: 1,
      maxReplicas: most,
      scaleMode,
      prediction: { quantile: 95, lead: leadSeconds, history: "14d" },
      metrics: [
        {
          name: "departures",
          type: "External",
          query: `sum(${metric}_departures)`,
          external: { metric: { name: "departures" }, target: { type: "AverageValue", averageValue: "1" } },
        },
      ],
    },
  };
}

/** Looks at workloads once a second until told to stop. */
async function watch(
  rig: Rig,
  names: readonly string[],
  sights: Map<string, Sight[]>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const second = (Date.now() - rig.startedMs) / 1000;
    try {
      const [deployments, ihpas] = await Promise.all(["deployments", "ihpa"].map((kind) => jsonOf(rig, kind)));
      for (const name of names) {
        const at = <T extends { metadata: { name: string } }>(list: { items: T[] }) =>
          list.items.find(({ metadata }) => metadata.name === name);
        const deployment = at<{
          metadata: { name: string };
          spec: { replicas: number };
          status?: { readyReplicas?: number };
        }>(deployments)!;
        const ihpa = at<{
          metadata: { name: string };
          status?: { desiredReplicas?: number; decision?: { rung?: string } };
        }>(ihpas);
        const list = sights.get(name) ?? [];
        list.push({
          second,
          replicas: deployment.spec.replicas,
          ready: deployment.status?.readyReplicas ?? 0,
          wanted: ihpa?.status?.desiredReplicas,
          rung: ihpa?.status?.decision?.rung,
        });
        sights.set(name, list);
      }
    } catch {
      // The next look tells.
    }
    await sleep(1000);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: objects of any kind, as kubectl prints them
async function jsonOf(rig: Rig, kind: string, name?: string): Promise<any> {
  return JSON.parse(await rig.plane.kubectl(["get", kind, ...(name ? [name] : []), "-n", "default", "-o", "json"]));
}

/** Standard output and error of kubectl: warnings go to the latter. */
async function kubectlOutput(rig: Rig, args: readonly string[]): Promise<{ stdout: string; stderr: string }> {
  const { path } = await ensureBinaries();
  return promisify(execFile)(path("kubectl"), ["--kubeconfig", rig.plane.kubeconfig, ...args]);
}
