/**
 * How surely bursts are found: four weeks of the bundled trace are history, the fifth is played through the decision path with a
 * Reactive and a Burst provider, once as it is and then with a burst a day (more often is no burst by definition) of two to five
 * times the load, five to twenty minutes long, put in at random times.
 * Run: `node bin/run.mjs scripts/measure-burst.ts [TIMES]`, each time with other bursts; prints one JSON line.
 */
import type { IntelligentHorizontalPodAutoscalerSpec } from "../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { readManifest } from "../src/api/validation/read-manifest.ts";
import { loadAt } from "../src/backtest/replay/load.ts";
import { createRecommender } from "../src/decide/recommender.ts";
import { seededRandom } from "../src/series/statistics/seeded-random.ts";
import { before, dayMs, departureRate } from "./figures/departures.ts";

const tickMs = 15_000;
const lagMs = 30_000;
const days = 7;
/** Pods at the busiest minute: a burst is one where it is worth a pod. */
const mostPods = 50;

interface Injected {
  readonly fromMs: number;
  readonly toMs: number;
  readonly factor: number;
}

const load = departureRate();
const endMs = load.startMs + load.values.length * load.stepMs;
const replayFromMs = endMs - days * dayMs;
const podCarries = load.values.reduce((a, b) => Math.max(a, b), 0) / mostPods;
const spec = readManifest(
  `
apiVersion: autoscaling.forescale.io/v1alpha1
kind: IntelligentHorizontalPodAutoscaler
metadata: {name: bursts}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: bursts}
  maxReplicas: 1000
  metrics:
  - name: load
    type: External
    external: {metric: {name: load}, target: {type: AverageValue, averageValue: "${podCarries.toFixed(6)}"}}
  portraitProviders:
  - {type: Dynamic, priority: 0, dynamic: {portraitType: Reactive}}
  - {type: Dynamic, priority: 0, dynamic: {portraitType: Burst}}
`,
  { kind: "IntelligentHorizontalPodAutoscaler" },
).object.spec as IntelligentHorizontalPodAutoscalerSpec;

function inject(seed: number): Injected[] {
  const random = seededRandom(seed);
  return Array.from({ length: days }, (_, day) => {
    const fromMs = replayFromMs + Math.round(((day + 0.95 * random()) * dayMs) / tickMs) * tickMs;
    return { fromMs, toMs: fromMs + (5 + 15 * random()) * 60_000, factor: 2 + 3 * random() };
  });
}

/** Moments at which a burst begins to be proposed, by the time of the value that showed it, and how long each was. */
function play(bursts: readonly Injected[]): { fromMs: number; toMs: number }[] {
  const recommender = createRecommender(spec, {
    histories: new Map([["load", before(load, replayFromMs)]]),
    tickMs,
  });
  const found: { fromMs: number; toMs: number }[] = [];
  let present = 1;
  let isOn = false;
  for (let timeMs = replayFromMs; timeMs < endMs; timeMs += tickMs) {
    const shownMs = timeMs - lagMs;
    const factor = bursts.find(({ fromMs, toMs }) => shownMs >= fromMs && shownMs < toMs)?.factor ?? 1;
    const { total, proposals } = recommender.decide({
      timeMs,
      loads: new Map([["load", loadAt(load, shownMs) * factor]]),
      lagMs,
      replicas: { online: present, cutoff: 0, standby: 0, starting: 0 },
    });
    present = total ?? present;
    const wasOn = isOn;
    isOn = proposals.some(({ provider }) => provider === "Burst");
    if (isOn && !wasOn) found.push({ fromMs: shownMs, toMs: shownMs });
    if (isOn) found[found.length - 1].toMs = shownMs;
  }
  return found;
}

const clean = play([]);
const sums = { injected: 0, foundAtFirstValue: 0, foundEver: 0, otherFinds: 0, secondsPastTheEnd: 0 };
for (let seed = 1; seed <= Number(process.argv[2] ?? 5); seed++) {
  const injected = inject(seed);
  const found = play(injected);
  for (const burst of injected) {
    if (((burst.factor - 1) * loadAt(load, burst.fromMs)) / podCarries < 1) continue; // not worth a pod
    const during = found.filter(({ fromMs }) => fromMs >= burst.fromMs && fromMs < burst.toMs);
    sums.injected++;
    if (during.some(({ fromMs }) => fromMs === burst.fromMs)) sums.foundAtFirstValue++;
    if (during.length > 0) sums.foundEver++;
    for (const { toMs } of during)
      sums.secondsPastTheEnd = Math.max(sums.secondsPastTheEnd, (toMs - burst.toMs) / 1000);
  }
  const isInjected = (timeMs: number) => injected.some(({ fromMs, toMs }) => timeMs >= fromMs && timeMs < toMs);
  sums.otherFinds += found.filter(({ fromMs }) => !isInjected(fromMs)).length;
}
console.log(JSON.stringify({ days, foundWithoutInjection: clean.length, ...sums }));
