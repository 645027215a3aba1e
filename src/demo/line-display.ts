import { busyPods } from "../backtest/replay/load.ts";
import { plainTarget, policyNames, startupMs } from "./replay.ts";
import type { Display, Stage } from "./run.ts";
import { describeSpeed, policyTitles } from "./summary.ts";

const hourMs = 3_600_000;

/** For files and pipes: what is replayed, the line that reads the metric, and a line a simulated hour. */
export class LineDisplay implements Display {
  readonly #write: (line: string) => void;
  #hour = Number.NaN;

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  begin({ trace, curl, pace }: Stage): void {
    this.#hour = Math.floor(trace.replayFromMs / hourMs);
    this.#write(`Forescale demo: ${trace.title}`);
    this.#write(`Source: ${trace.source}`);
    this.#write(
      `A pod carries ${trace.podCarries} ${trace.unit}, so that the busiest 0.1 % of the time need ${busyPods} pods; it serves ${startupMs / 1000} s after it was asked for.`,
    );
    this.#write(`The plain HPA aims at ${plainTarget * 100} % of that, all else as Kubernetes has it by default.`);
    this.#write(`Replayed at ${describeSpeed(pace.wanted)}. While it runs, this reads what the HPA reads:`);
    this.#write(curl);
  }

  show({ replay, pace }: Stage): void {
    const hour = Math.floor(replay.nowMs / hourMs);
    if (hour <= this.#hour) return;
    this.#hour = hour;
    const moment = replay.moments[replay.moments.length - 1];
    const needs = Number.isNaN(moment.needed) ? "unknown" : moment.needed.toFixed(1);
    const policies = policyNames.map((policy) => {
      const { podHours, underProvisionedMinutes } = replay.score(policy);
      const sums = `${underProvisionedMinutes.toFixed(1)} min too few, ${podHours.toFixed(1)} pod-hours`;
      return `${policyTitles[policy]} ${moment.pods[policy]} (${sums})`;
    });
    const slow = pace.current < pace.wanted ? `, at ${describeSpeed(pace.current)}` : "";
    const time = new Date(replay.nowMs).toISOString().slice(0, 16);
    this.#write(`${time}Z  needs ${needs} pods${slow}: ${policies.join(", ")}`);
  }

  end(): void {}
}
