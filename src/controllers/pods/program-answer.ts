/** What is known of an external program's answer about a workload's pods. */
export interface ProgramAnswer<T> {
  readonly answer?: T;
  /** Why there is none, or none that is new. */
  readonly fault?: string;
  /** Whether the first answer is waited for. */
  readonly isAsking: boolean;
}

/** An answer is used for this long, or less where there are new pods. */
export const orderHoldsMs = 30_000;
export const statesHoldMs = 10_000;
/** After a failure the program is asked again after this. */
export const faultHoldsMs = 5000;

/** When a program is to be asked again though nothing else happens: after a failure, or as it may want other states. */
export function askAgainMs(
  order: ProgramAnswer<unknown> | undefined,
  states: ProgramAnswer<unknown> | undefined,
): number | undefined {
  if (order?.fault !== undefined || states?.fault !== undefined) return faultHoldsMs;
  return states && statesHoldMs;
}

/** What external programs failed to do, each with what is done in the meantime. */
export function externalFaults(programs: {
  readonly order: ProgramAnswer<unknown> | undefined;
  readonly states: ProgramAnswer<unknown> | undefined;
  /** Why the traffic controller has not done its part. */
  readonly traffic: string | undefined;
}): string[] {
  const { order, states, traffic } = programs;
  return [
    ...(order?.fault
      ? [`podSorter: ${order.fault}; ${order.answer ? "its last order" : "the workload's own order"} is used`]
      : []),
    ...(states?.fault
      ? [`podStates: ${states.fault}; ${states.answer ? "its last answer is used" : "no pod leaves service"}`]
      : []),
    ...(traffic === undefined ? [] : [`podTrafficController: ${traffic}; these pods wait`]),
  ];
}
