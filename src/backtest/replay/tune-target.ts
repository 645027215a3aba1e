import type { Run } from "./cluster.ts";

/** One policy at one target, a share of a full pod. */
export interface Tried {
  readonly target: number;
  readonly run: Run;
}

/** The best of the targets tried, and all of them, ascending. */
export interface Tuned extends Tried {
  /** Whether it lacks pods no longer than asked for; where not, it is the one that lacks them least. */
  readonly isAsGood: boolean;
  readonly tried: readonly Tried[];
}

/** Targets are counted in these: a quarter of a percent. */
const perTarget = 400;
/** The first targets: every 5 % of a full pod from 40 to 120 %. */
const first = { from: 160, to: 480, step: 20 } as const;
/** If the best stands at an end of these, targets beyond it are tried, as far as 10 and 300 %. */
const furthest = { from: 40, to: 1200 } as const;
/** Then around the best: every 1 %, every ¼ %. Closer targets differ by less than the verdict's margin. */
const finerSteps = [4, 1] as const;

/**
 * The cheapest target at which a policy lacks pods no longer than `minutes`, found in hindsight: coarse steps over the
 * usual targets, as far beyond as the best leads, then finer steps around it.
 *
 * @param runAt replays the policy at a target
 */
export function tuneTarget(runAt: (target: number) => Run, minutes: number): Tuned {
  const runs = new Map<number, Tried>();
  const attempt = (place: number) => {
    if (place < furthest.from || place > furthest.to || runs.has(place)) return;
    const target = place / perTarget;
    runs.set(place, { target, run: runAt(target) });
  };
  const best = () => cheapest([...runs.values()], minutes);
  const placeOf = ({ target }: Tried) => Math.round(target * perTarget);

  for (let place = first.from; place <= first.to; place += first.step) attempt(place);
  for (let low = first.from; low > furthest.from && placeOf(best()) === low; low -= first.step)
    attempt(low - first.step);
  for (let high = first.to; high < furthest.to && placeOf(best()) === high; high += first.step)
    attempt(high + first.step);
  let width: number = first.step;
  for (const step of finerSteps) {
    const middle = placeOf(best());
    for (let away = step; away < width; away += step) {
      attempt(middle - away);
      attempt(middle + away);
    }
    width = step;
  }
  const tried = [...runs].sort(([a], [b]) => a - b).map(([, each]) => each);
  return { ...best(), tried };
}

/** The cheapest that lacked pods no longer than `minutes`; where none did, the one that lacked them least. */
export function cheapest(tried: readonly Tried[], minutes: number): Tried & Pick<Tuned, "isAsGood"> {
  const good = tried.filter(({ run }) => run.underProvisionedMinutes <= minutes + 1e-9);
  const isAsGood = good.length > 0;
  const best = (isAsGood ? good : tried).toSorted(
    (a, b) =>
      (isAsGood ? 0 : a.run.underProvisionedMinutes - b.run.underProvisionedMinutes) || a.run.podHours - b.run.podHours,
  )[0];
  return { ...best, isAsGood };
}

/** A target for people: percent of a full pod, with decimals only where there are any. */
export function targetText(target: number): string {
  return `${Number((target * 100).toFixed(2))} %`;
}
