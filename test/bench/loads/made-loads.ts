import type { Series } from "../../../src/series/series.ts";
import { seededRandom } from "../../../src/series/statistics/seeded-random.ts";

/** A load of our own making: 16 days by the minute from a Monday on, the same on every machine. */
export interface MadeLoad {
  readonly name: string;
  readonly series: Series;
}

const minutes = 16 * 1440;
const startMs = Date.UTC(2025, 2, 3);

interface Draws {
  uniform(): number;
  normal(): number;
}

/** What a load is at minute `i`, which is hour `hour` (0 … 24) of day `day` (0 is a Monday). */
type Course = (i: number, hour: number, day: number) => number;

/** Kinds of loads that services have; each makes its course from its own random numbers. */
const kinds: Readonly<Record<string, (draws: Draws) => Course>> = {
  "office hours": (draws) => {
    const wander = wandering(draws, 0.995, 0.006);
    return (_, hour, day) => {
      const work = bump(hour, 10.5, 2.2) + 0.9 * bump(hour, 15, 2.4);
      return 100 * (0.15 + work * (day % 7 < 5 ? 1 : 0.3)) * (1 + wander() + 0.03 * draws.normal());
    };
  },
  "two peaks": (draws) => {
    const wander = wandering(draws, 0.99, 0.008);
    return (_, hour) =>
      60 * (0.4 + bump(hour, 12.5, 1.5) + 1.4 * bump(hour, 20, 2.5)) * (1 + wander() + 0.06 * draws.normal());
  },
  "counts of single events": (draws) => (_, hour) => poisson(2 + 12 * bump(hour, 13, 4), draws),
  "hourly jobs": (draws) => {
    let late = 0;
    return (i, hour) => {
      if (i % 60 === 0) late = Math.floor(2 * draws.uniform());
      const job = i % 60 >= late && i % 60 < late + 7 ? 45 : 0;
      return 30 + 10 * bump(hour, 14, 5) + job + 2 * draws.normal();
    };
  },
  "a batch at night": (draws) => {
    let [from, until] = [0, 0];
    return (i) => {
      if (i % 1440 === 0) [from, until] = [60 + 15 * draws.uniform(), 150 + 60 * draws.uniform()];
      return (i % 1440 >= from && i % 1440 < until ? 90 : 15) * (1 + 0.04 * draws.normal());
    };
  },
  "bursts at random": (draws) => {
    let burst = 0;
    return (_, hour) => {
      burst = draws.uniform() < 6 / 1440 ? burst + 20 + 80 * draws.uniform() : burst * 0.93;
      return 40 + 30 * bump(hour, 15, 4) + burst + 2 * draws.normal();
    };
  },
  growth: (draws) => {
    const wander = wandering(draws, 0.99, 0.005);
    return (i, hour) => 50 * 1.06 ** (i / 1440) * (0.5 + bump(hour, 14, 4)) * (1 + wander() + 0.04 * draws.normal());
  },
  "a new level": (draws) => {
    const at = (7.5 + 3 * draws.uniform()) * 1440;
    return (i, hour) => 50 * (i < at ? 1 : 1.7) * (0.5 + bump(hour, 14, 4)) * (1 + 0.05 * draws.normal());
  },
  "no season": (draws) => {
    const wander = wandering(draws, 0.9995, 0.01);
    return () => 50 * Math.exp(wander()) * (1 + 0.05 * draws.normal());
  },
  "pulses every 65 minutes": (draws) => (i, hour) =>
    20 + 8 * bump(hour, 12, 5) + (i % 65 < 20 ? 40 : 0) + 3 * draws.normal(),
  "heavy tails": (draws) => (_, hour) => 30 * (0.4 + bump(hour, 16, 4)) * Math.exp(0.5 * draws.normal()),
  "missing values": (draws) => {
    let gap = 0;
    return (_, hour) => {
      gap = gap > 0 ? gap - 1 : draws.uniform() < 1 / 600 ? Math.floor(120 * draws.uniform()) : 0;
      const value = 60 * (0.4 + bump(hour, 11, 2) + bump(hour, 19, 3)) * (1 + 0.06 * draws.normal());
      return gap > 0 || draws.uniform() < 0.05 ? Number.NaN : value;
    };
  },
};

export function madeLoads(): MadeLoad[] {
  return Object.entries(kinds).map(([name, make], k) => {
    const course = make(drawsOf(1000 + k));
    const values = Float64Array.from({ length: minutes }, (_, i) => {
      const value = course(i, (i % 1440) / 60, Math.floor(i / 1440));
      return value < 0 ? 0 : value; // NaN stays
    });
    return { name, series: { startMs, stepMs: 60_000, values } };
  });
}

/** Uniform and normal numbers (Box and Muller) from one seed. */
export function drawsOf(seed: number): Draws {
  const uniform = seededRandom(seed);
  return {
    uniform,
    normal: () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  };
}

/** A bell around an hour of the day, 1 at its middle, that goes on over midnight. */
function bump(hour: number, middle: number, width: number): number {
  const away = Math.min(Math.abs(hour - middle), 24 - Math.abs(hour - middle));
  return Math.exp(-((away / width) ** 2) / 2);
}

/** An autoregression of first order: a share of the last value stays. */
function wandering({ normal }: Draws, stays: number, size: number): () => number {
  let value = 0;
  return () => {
    value = stays * value + size * normal();
    return value;
  };
}

/** Poisson's law by Knuth's product; for means below some hundreds. */
function poisson(mean: number, { uniform }: Draws): number {
  const limit = Math.exp(-mean);
  let count = -1;
  for (let product = 1; product > limit; count++) product *= uniform();
  return count;
}
