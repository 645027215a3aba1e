import { coveredLevels, type Errors } from "../accuracy.ts";
import type { BacktestResult, PolicyName, PolicyResult } from "../backtest.ts";
import { policyNames } from "../backtest.ts";
import { targetText } from "../replay/tune-target.ts";
import { daysText } from "../workload.ts";

const dayMs = 86_400_000;

/** A policy's name for people. */
export function policyTitle(name: PolicyName, { target }: Pick<PolicyResult, "target"> = {}): string {
  const at = target === undefined ? "" : ` ${targetText(target)}`;
  switch (name) {
    case "forescale":
      return "Forescale";
    case "hpaTuned":
      return `HPA, tuned:${at}`;
    case "hpaDefault":
      return `HPA, usual:${at}`;
    case "cronTuned":
      return `schedule + HPA:${at}`;
    case "fixed":
      return "fixed at the peak";
    case "oracle":
      return "oracle";
  }
}

/** One workload's backtest, in lines for a terminal. */
export function describeResult(result: BacktestResult): string[] {
  const { policies, accuracy, algorithm, reasons, verdict } = result;
  const notes = notesOf(result);
  return [
    `${result.name}: ${describeSpan(result)}`,
    "",
    ...table(
      ["", "pod-hours", "× oracle", "too few pods", "of the time", "unserved", "actions"],
      policyNames.map((name) => {
        const policy = policies[name];
        return [
          policyTitle(name, policy),
          policy.podHours.toFixed(1),
          policy.overOracle.toFixed(3),
          `${policy.underProvisionedMinutes.toFixed(1)} min`,
          percent(policy.underProvisioned),
          percent(policy.unserved),
          String(policy.actions),
        ];
      }),
    ),
    ...notes,
    "",
    ...(accuracy === undefined
      ? []
      : [
          ...table(
            [
              algorithm === "Forecast" ? "forecast" : `forecast: ${algorithm}`,
              "WAPE",
              "wQL ÷ last day",
              ...coveredLevels.map((level) => `≤ q${level * 100}`),
            ],
            [...accuracy.horizons.map((bucket) => errorRow(horizonText(bucket), bucket)), errorRow("all", accuracy)],
          ),
          "",
        ]),
    `Verdict: ${verdictTitle(verdict)}`,
    ...reasons.map(({ isGood, isCaution, message }) => `  ${isCaution ? "!" : isGood ? "+" : "-"} ${message}`),
  ];
}

/** Many workloads, a line each. */
export function describeMany(results: readonly BacktestResult[]): string[] {
  const rows = results.map(({ name, policies: { forescale, hpaTuned }, accuracy, verdict }) => [
    name,
    forescale.podHours.toFixed(1),
    forescale.overOracle.toFixed(3),
    change(forescale.podHours, hpaTuned),
    percent(forescale.underProvisioned),
    percent(forescale.unserved),
    String(forescale.actions),
    accuracy?.relativeWql?.toFixed(2) ?? "–",
    coverageAt(accuracy, 0.9),
    verdictTitle(verdict),
  ]);
  const head = [
    "workload",
    ...["pod-hours", "× oracle", "to tuned HPA", "too few pods", "unserved", "actions", "wQL", "≤ q90"],
    "verdict",
  ];
  return table(
    head,
    rows,
    head.map((title) => (title === "workload" || title === "verdict" ? "left" : "right")),
  );
}

/** What was replayed and how, as a sentence's end. */
export function describeSpan(result: BacktestResult): string {
  const { learnFromMs, replayFromMs, replayUntilMs, stepSeconds, startupSeconds } = result;
  const date = (ms: number) => new Date(ms).toISOString().slice(0, 16).replace("T", " ");
  const step = stepSeconds % 60 === 0 ? `${stepSeconds / 60} min` : `${stepSeconds} s`;
  return (
    `${daysText(replayFromMs - learnFromMs)} learnt, ${daysText(replayUntilMs - replayFromMs)} replayed ` +
    `(${date(replayFromMs)} to ${date(replayUntilMs)} UTC), steps of ${step}, pods start in ${startupSeconds} s`
  );
}

/** What pods carry: by the targets, or by a learnt capacity, which plain HPAs know nothing of. */
export function describeCapacity({ podTargets, capacity, carried }: BacktestResult): string {
  const entries = Object.entries(podTargets);
  const targets = entries.map(([metric, value]) => (entries.length > 1 ? `${value} of ${metric}` : value)).join(", ");
  if (capacity === undefined || capacity.model === "PerPod") return `A full pod carries ${targets}.`;
  const of = entries.length > 1 && carried ? ` of ${carried.name}` : "";
  const learnt = carried
    ? `By the capacity learnt ${carried.pods} ${carried.pods === 1 ? "pod carries" : "pods carry"} ${Number(carried.load.toPrecision(3))}${of}`
    : "What pods carry was learnt";
  return `${learnt}; plain HPAs go by ${targets} a full pod.`;
}

/** What a reader should know about the figures. */
export function notesOf({ policies, stepSeconds, decisions, capacity, extrapolated }: BacktestResult): string[] {
  const notes: string[] = [];
  if (capacity !== undefined) notes.push(`Capacity ${capacity.model}: ${capacity.message}.`);
  if (capacity?.rangeSeen !== undefined) {
    const ranges = capacity.rangeSeen.map(({ name, lowest, highest }) => `${lowest} to ${highest} of ${name}`);
    const beyond = extrapolated ? `; the replay goes beyond what was seen ${percent(extrapolated)} of the time` : "";
    notes.push(`It was learnt while a pod carried ${ranges.join(" and ")}${beyond}.`);
  }
  for (const name of ["hpaTuned", "cronTuned"] as const)
    if (policies[name].isAsGood === false)
      notes.push(`${policyTitle(name, policies[name])} is its best; no target lacks pods as little as Forescale.`);
  const { podHours, standbyPodHours } = policies.forescale;
  if (standbyPodHours !== undefined)
    notes.push(
      `Of Forescale's pod-hours ${percent(standbyPodHours / podHours)} are on standby: frozen, their memory given back.`,
    );
  if (stepSeconds > 60)
    notes.push(
      `Steps of ${stepSeconds / 60} min hide shorter bursts: real policies lack pods longer than replayed ones.`,
    );
  const { Fresh: fresh = 0, ...rest } = decisions.rungs;
  const others = Object.entries(rest).map(([rung, share]) => `${rung} ${percent(share)}`);
  if (others.length > 0)
    notes.push(`Forescale decided from its forecast ${percent(fresh)} of the time; else ${others.join(", ")}.`);
  return notes;
}

export function verdictTitle(verdict: BacktestResult["verdict"]): string {
  return { Enable: "Enable", KeepObserving: "Keep observing", NotPredictable: "Not predictable" }[verdict];
}

export function horizonText({ fromHours, toHours }: { readonly fromHours: number; readonly toHours: number }): string {
  return `${fromHours}–${Number(toHours.toFixed(1))} h ahead`;
}

/** A share as a percentage, small ones not lost. */
export function percent(share: number): string {
  if (share === 0) return "0 %";
  return share < 0.0001 ? "< 0.01 %" : `${(share * 100).toFixed(share < 0.1 ? 2 : 1)} %`;
}

/** How much more or less than the tuned HPA. */
export function change(podHours: number, { podHours: other, isAsGood }: PolicyResult): string {
  const share = Math.round((podHours / other - 1) * 100);
  return `${share > 0 ? "+" : share < 0 ? "−" : ""}${Math.abs(share)} %${isAsGood === false ? " *" : ""}`;
}

function errorRow(title: string, errors: Errors): string[] {
  return [
    title,
    errors.wape === undefined ? "–" : percent(errors.wape),
    errors.relativeWql?.toFixed(3) ?? "–",
    ...coveredLevels.map((level) => coverageAt(errors, level)),
  ];
}

export function coverageAt(errors: Errors | undefined, wanted: number): string {
  const found = errors?.coverage.find(({ level }) => level === wanted);
  return found === undefined ? "–" : `${(found.observed * 100).toFixed(0)} %`;
}

function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  align: readonly ("left" | "right")[] = head.map((_, k) => (k === 0 ? "left" : "right")),
): string[] {
  const widths = head.map((title, k) => Math.max(title.length, ...rows.map((row) => row[k].length)));
  return [head, ...rows].map((row) =>
    row
      .map((cell, k) => (align[k] === "left" ? cell.padEnd(widths[k]) : cell.padStart(widths[k])))
      .join("   ")
      .trimEnd(),
  );
}

/** A result as plain JSON: times as text, figures at six digits, pictures left out. */
export function toJson(result: BacktestResult): object {
  const { pictures: _, learnFromMs, replayFromMs, replayUntilMs, name, verdict, reasons, ...figures } = result;
  const time = (ms: number) => new Date(ms).toISOString();
  return {
    name,
    verdict,
    reasons,
    learnFrom: time(learnFromMs),
    replayFrom: time(replayFromMs),
    replayUntil: time(replayUntilMs),
    learntDays: (replayFromMs - learnFromMs) / dayMs,
    replayedDays: (replayUntilMs - replayFromMs) / dayMs,
    ...(JSON.parse(
      JSON.stringify(figures, (_key, value) => (typeof value === "number" ? Number(value.toPrecision(6)) : value)),
    ) as object),
  };
}
