/** How many pods a load needs, fractions included: the decision rounds up. */
export interface CapacityModel {
  /** @param load the workload's total, at least 0 @returns pods, at least 0 */
  pods(load: number): number;
  /** One sentence for people: how the number is derived. */
  readonly reason: string;
}

/** Every pod carries the same share: pods = load ÷ target. @throws RangeError for a target that is not above 0 */
export function perPodTarget(target: number): CapacityModel {
  if (!(target > 0 && Number.isFinite(target))) throw new RangeError(`a target per pod must be above 0: ${target}`);
  return { pods: (load) => load / target, reason: `a pod carries ${target}` };
}
