/** How far ahead pods have to be asked for, and where that figure comes from. */
export interface Lead {
  readonly seconds: number;
  readonly source: "Measured" | "Configured" | "Default";
  /** Pods measured. */
  readonly samples: number;
}

/** Until a pod has been measured. */
const defaultStartSeconds = 120;
/** Older starts tell of older images and nodes. */
const samplesKept = 200;
/** A start of more than an hour is a pod that something held up, not a lead. */
const longestStartSeconds = 3600;

/** The starts to remember: the last two hundred. Values that are no duration are left out. */
export function rememberStarts(remembered: readonly number[], seconds: readonly number[]): readonly number[] {
  const valid = seconds.filter((s) => Number.isFinite(s) && s >= 0).map((s) => Math.min(s, longestStartSeconds));
  return valid.length === 0 ? remembered : [...remembered, ...valid].slice(-samplesKept);
}

/**
 * The lead: the p90 of the workload's own starts (from created to Ready), then what the HPA takes to act.
 *
 * @param starts seconds of past starts, any order
 * @param options.configuredSeconds the user's own figure, which then holds as it is
 * @param options.syncSeconds how often the HPA looks; 0 where pods are asked for at once
 * @param options.rampRounds rounds that an Attached HPA's own policies need to go as far as is wanted; a Managed one's need none
 */
export function measureLead(
  starts: readonly number[],
  options: { readonly configuredSeconds?: number; readonly syncSeconds?: number; readonly rampRounds?: number } = {},
): Lead {
  const { configuredSeconds, syncSeconds = 0, rampRounds = 0 } = options;
  const samples = starts.length;
  if (configuredSeconds !== undefined) return { seconds: configuredSeconds, source: "Configured", samples };
  const added = syncSeconds * (1 + rampRounds);
  if (samples === 0) return { seconds: defaultStartSeconds + added, source: "Default", samples };
  return { seconds: ninetiethPercentile(starts) + added, source: "Measured", samples };
}

/**
 * Rounds that an HPA with its default scale-up policies (the larger of 100 % and 4 pods each 15 s) needs from one size to another.
 * The first round is the one that every HPA needs, and is not counted.
 */
export function rampRounds(from: number, to: number): number {
  let rounds = 0;
  for (let size = from; size < to; size = Math.max(2 * size, size + 4)) rounds++;
  return Math.max(0, rounds - 1);
}

function ninetiethPercentile(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const place = 0.9 * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}
