import type { GrayStrategy } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";

/** A change that is under way. */
export interface GrayChange {
  /** Pods in service before its first step. */
  readonly from: number;
  /** Pods in service at its end. */
  readonly to: number;
  /** Pods in service as the last step wants them. */
  readonly online: number;
  /** How much of it has been made. */
  readonly percent: number;
  /** When its first step was made, and its last one. */
  readonly beganMs: number;
  readonly stepMs: number;
  /** Whether pods that leave service stay for a while, and can come back. */
  readonly isWatched: boolean;
}

/** What is remembered between ticks, as plain JSON. */
export interface GrayState {
  /** Changes downwards, the oldest first; each begins where the one before ends. */
  readonly falls: readonly GrayChange[];
  readonly rise?: GrayChange;
  /** Pods in service as wanted last. */
  readonly online: number;
}

export interface GrayInput {
  readonly nowMs: number;
  /** Pods wanted in service at the end, within all limits. */
  readonly target: number;
  /** Pods there are that serve or will: not those out of service, and never more than the target's spec.replicas. */
  readonly present: number;
  /** Pods out of service that no hot pool asks for; only read where nothing is remembered. */
  readonly out: number;
  /** Pods that what is observed now asks for: no step of a rise stays below. */
  readonly observed: number;
  readonly up?: GrayStrategy;
  readonly down?: GrayStrategy;
  /** Whether no step may be made and no pod removed: a check failed, or a rollout is under way. */
  readonly isHeld: boolean;
  /** How many pods may be out of service at once; undefined where nothing limits it. */
  readonly room?: number;
}

export interface GrayStep {
  /** Pods wanted in service now. */
  readonly online: number;
  /** Pods wanted out of service now, in the strategy's grayState. */
  readonly out: number;
  readonly state: GrayState;
  /** The change under way; undefined at rest. */
  readonly change?: GrayChange & { readonly direction: "Up" | "Down" };
}

/** More changes under way at once are made one with the last. */
const mostFalls = 16;

/**
 * A change in steps. The first step is made at once, each later one after changeIntervalSeconds: changePercent more of the whole
 * change, at least one pod. Pods that left service stay in grayState until observationSeconds after the last step. Where the target
 * moves on, what is under way goes on; where it moves back, pods come back at once, and no others leave for it.
 * A target further down begins a change of its own, so that a long decline lets pods go all the while.
 *
 * @param state what the last step gave; undefined at the start: pods found out of service are then watched anew
 */
export function stepGray(state: GrayState | undefined, input: GrayInput): GrayStep {
  const { target, present } = input;
  const known = state ?? restored(input);
  const falls = input.down ? backTo(known.falls, target) : [];
  // Pods of changes that are taken back whole come back by themselves.
  const regained = known.falls.filter(({ from, isWatched }) => isWatched && from <= target).map(({ from }) => from);
  const wanted = Math.max(known.online, ...regained);
  const last = falls.at(-1);
  if (last === undefined && target >= Math.min(present, wanted))
    return target > Math.max(present, wanted) ? rise(known.rise, Math.max(present, wanted), input) : at(target, []);
  return fall(falls, last?.online ?? Math.min(present, wanted), input);
}

/** Pods found out of service: a change was begun that nothing is remembered of. */
function restored({ nowMs, present, out, down }: GrayInput): GrayState {
  if (out === 0 || down === undefined) return { falls: [], online: present };
  const times = { beganMs: nowMs, stepMs: nowMs };
  const found = { from: present + out, to: present, online: present, percent: 100, ...times, isWatched: true };
  return { falls: [found], online: present };
}

/** Changes downwards without what lies below the target: those pods come back. */
function backTo(falls: readonly GrayChange[], target: number): GrayChange[] {
  return falls
    .filter(({ from }) => from > target)
    .map((each) => ({ ...each, to: Math.max(each.to, target), online: Math.max(each.online, target) }));
}

function rise(before: GrayChange | undefined, inService: number, input: GrayInput): GrayStep {
  const { nowMs, target, observed, up, isHeld } = input;
  if (up === undefined) return at(target, []);
  const isDue = before === undefined || nowMs - before.stepMs >= up.changeIntervalSeconds * 1000;
  const from = Math.min(before?.from ?? inService, inService);
  let [percent, stepMs] = [before?.percent ?? 0, before?.stepMs ?? nowMs];
  if (isHeld) stepMs = nowMs;
  else if (isDue) [percent, stepMs] = [Math.min(100, percent + up.changePercent), nowMs];
  const made = percent === 0 ? 0 : part(target - from, percent);
  // What is observed needs its pods now, whatever the steps.
  const online = Math.min(target, Math.max(inService, from + made, observed));
  if (online === target) return at(target, []);
  const beganMs = before?.beganMs ?? nowMs;
  return at(online, [], { from, to: target, online, percent, beganMs, stepMs, isWatched: false });
}

function fall(before: readonly GrayChange[], inService: number, input: GrayInput): GrayStep {
  const { nowMs, target, down, isHeld, room = Number.POSITIVE_INFINITY } = input;
  // Held, the clocks stand still: pods are watched in full once things are well.
  if (isHeld)
    return at(
      inService,
      before.map((each) => ({ ...each, stepMs: nowMs })),
    );
  if (down === undefined) return at(target, []);
  const falls = before.filter((each) => !isOver(each, down, nowMs));
  const isWatched = down.grayState !== "Deleted" && room > 0;
  const lowest = Math.max(target, inService - (isWatched ? Math.max(0, room - outOf(falls)) : inService));
  const last = falls.at(-1);
  const isDue = last === undefined || nowMs - last.stepMs >= down.changeIntervalSeconds * 1000;
  if (last !== undefined && last.percent < 100) {
    // Its end moves with the target; pods that left already don't come back for that.
    const moved = { ...last, to: target };
    falls.splice(-1, 1, isDue ? advanced(moved, lowest, down, nowMs) : moved);
  } else if (isDue && lowest < inService) {
    const times = { beganMs: nowMs, stepMs: nowMs };
    const begun = { from: inService, to: target, online: inService, percent: 0, ...times, isWatched };
    falls.push(advanced(begun, lowest, down, nowMs));
  }
  return at(falls.at(-1)?.online ?? inService, joined(falls));
}

/** Whether all steps are made and the pods were watched long enough. */
function isOver({ percent, stepMs, isWatched }: GrayChange, { observationSeconds = 0 }: GrayStrategy, nowMs: number) {
  return percent === 100 && (!isWatched || nowMs - stepMs >= observationSeconds * 1000);
}

/**
 * A change after its next step. Where the room is full it ends there, and the next one goes on once its pods are gone.
 *
 * @param lowest pods in service that have to stay for now
 */
function advanced(change: GrayChange, lowest: number, { changePercent }: GrayStrategy, nowMs: number): GrayChange {
  const percent = Math.min(100, change.percent + changePercent);
  const asked = change.from - part(change.from - change.to, percent);
  const online = Math.min(change.online, Math.max(asked, lowest));
  const isDone = online <= Math.max(change.to, lowest);
  return { ...change, to: isDone ? online : change.to, percent: isDone ? 100 : percent, online, stepMs: nowMs };
}

function part(change: number, percent: number): number {
  return Math.min(change, Math.max(1, Math.floor((change * percent) / 100)));
}

function joined(falls: readonly GrayChange[]): readonly GrayChange[] {
  if (falls.length <= mostFalls) return falls;
  const [second, last] = falls.slice(-2);
  return [...falls.slice(0, -2), { ...last, from: second.from, beganMs: second.beganMs }];
}

/** Pods out of service in changes under way. */
function outOf(falls: readonly GrayChange[]): number {
  return falls.reduce((sum, { from, online, isWatched }) => sum + (isWatched ? from - online : 0), 0);
}

function at(online: number, falls: readonly GrayChange[], rise?: GrayChange): GrayStep {
  const shown = rise ?? falls.at(-1);
  return {
    online,
    out: outOf(falls),
    state: { falls, ...(rise && { rise }), online },
    ...(shown && { change: { ...shown, direction: rise ? "Up" : "Down" } }),
  };
}
