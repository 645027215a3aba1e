import type { Score } from "../backtest/replay/scoreboard.ts";
import { type PolicyName, policyNames } from "./replay.ts";

/** What a run of the demo came to; `-o json` prints it. */
export interface Summary {
  readonly trace: string;
  readonly source: string;
  /** Simulated seconds a second: what was asked for, or what the machine reached. */
  readonly speed: number;
  readonly simulatedHours: number;
  readonly policies: Readonly<Record<PolicyName, Score>>;
}

export const policyTitles: Readonly<Record<PolicyName, string>> = {
  forescale: "Forescale",
  hpa: "plain HPA",
  oracle: "oracle",
};

/** @param simulatedMs replayed time @param speed reached */
export function summarise(
  { trace, source }: Pick<Summary, "trace" | "source">,
  speed: number,
  simulatedMs: number,
  score: (policy: PolicyName) => Score,
): Summary {
  const rounded = (policy: PolicyName): Score => {
    const { podHours, underProvisionedMinutes, unserved } = score(policy);
    return {
      podHours: round(podHours, 2),
      underProvisionedMinutes: round(underProvisionedMinutes, 2),
      unserved: round(unserved, 6),
    };
  };
  return {
    trace,
    source,
    speed: round(speed, 1),
    simulatedHours: round(simulatedMs / 3_600_000, 3),
    policies: { forescale: rounded("forescale"), hpa: rounded("hpa"), oracle: rounded("oracle") },
  };
}

/** A short table for people, and one sentence on what it means, in lines of at most `columns`. */
export function describeSummary({ policies, simulatedHours, speed }: Summary, columns: number): string[] {
  const rows = policyNames.map((policy) => {
    const { podHours, underProvisionedMinutes, unserved } = policies[policy];
    return [policyTitles[policy], podHours.toFixed(1), `${underProvisionedMinutes.toFixed(1)} min`, percent(unserved)];
  });
  const head = ["", "pod-hours", "too few pods", "load unserved"];
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column].length)));
  const line = (row: readonly string[]) =>
    row.map((cell, k) => (k === 0 ? cell.padEnd(widths[k]) : cell.padStart(widths[k]))).join("   ");
  return [
    `${describeHours(simulatedHours)} replayed at ${describeSpeed(speed)}`,
    "",
    ...[head, ...rows].map(line),
    "",
    ...wrap(sentence(policies), columns),
  ];
}

function sentence({ forescale, hpa, oracle }: Summary["policies"]): string {
  if (oracle.podHours === 0) return "Nothing was replayed, so there is nothing to compare.";
  const short = ({ underProvisionedMinutes }: Score) => `${underProvisionedMinutes.toFixed(1)} minutes`;
  const more = (forescale.podHours / hpa.podHours - 1) * 100;
  const cost =
    Math.abs(more) < 0.5
      ? "as many pod-hours"
      : `${Math.abs(more).toFixed(0)} % ${more > 0 ? "more" : "fewer"} pod-hours`;
  const above = (forescale.podHours / oracle.podHours - 1) * 100;
  return (
    `Forescale had too few pods for ${short(forescale)}, the plain HPA for ${short(hpa)}; it used ${cost} ` +
    `${Math.abs(more) < 0.5 ? "as" : "than"} the plain HPA and ${above.toFixed(0)} % more than an oracle that knows the future.`
  );
}

/** Lines of whole words, at most `columns` long where the words are. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= columns) lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/** A share as a percentage, small ones not lost. */
export function percent(share: number): string {
  if (share === 0) return "0 %";
  return share < 0.0001 ? "< 0.01 %" : `${(share * 100).toFixed(2)} %`;
}

export function describeSpeed(speed: number): string {
  return `${speed >= 10 ? Math.round(speed) : Number(speed.toFixed(1))}×`;
}

export function describeHours(hours: number): string {
  if (hours < 1) return `${Math.round(hours * 60)} minutes`;
  return hours < 48 ? `${hours.toFixed(1)} hours` : `${(hours / 24).toFixed(1)} days`;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
