import type { HorizontalPortrait } from "../../api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import { ihpaLabel } from "../../api/labels.ts";
import { ownerName } from "../../api/owner-reference.ts";
import type { Clock } from "../../kube/loop/clock.ts";
import type { Schedule } from "../../portrait/schedule.ts";
import { agingMs, type ReadSchedule, type ServedInputs } from "./served-number.ts";

type Ihpa = IntelligentHorizontalPodAutoscaler;

/** The objects as the server reads them; nothing here waits. */
export interface Snapshot {
  ihpa(namespace: string, name: string): ServedInputs | undefined;
  /** Names of the IHPAs of a namespace, in alphabetical order. */
  names(namespace: string): readonly string[];
  /** The IHPA that scales this target already, other than the one of this name. */
  rival(ihpa: Pick<Ihpa, "metadata" | "spec">): string | undefined;
}

interface Entry {
  ihpa: Ihpa;
  /** When, on the monotonic clock, the decision was made by the best of our knowledge. */
  decidedAtMs: number | undefined;
  /** When the object was last seen at all. */
  seenAtMs: number;
  target: { readonly replicas: number; readonly readAtMs: number } | undefined;
  readonly schedule: Calendar | undefined;
}

type Calendar = (timeMs: number) => Schedule;

/**
 * IHPAs and portraits in memory, with what a decision's age is by our own clock: a jump of the wall clock, here or where
 * the controller runs, changes no served number.
 */
export class MemorySnapshot implements Snapshot {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Map<string, Entry>>();
  /** By namespace, then IHPA, then portrait. */
  readonly #portraits = new Map<string, Map<string, Map<string, HorizontalPortrait>>>();
  readonly #listed = new Map<string, readonly string[]>();
  readonly #readSchedule: ReadSchedule | undefined;
  readonly #cronPortraits = new WeakMap<HorizontalPortrait, Calendar | undefined>();

  /** @param readSchedule reads the calendar of a spec; absent, only the spec's own limits hold */
  constructor(clock: Clock, readSchedule?: ReadSchedule) {
    this.#clock = clock;
    this.#readSchedule = readSchedule;
  }

  ihpa(namespace: string, name: string): ServedInputs | undefined {
    const entry = this.#entries.get(namespace)?.get(name);
    if (!entry) return undefined;
    const nowMs = this.#clock.monotonicMs();
    const { ihpa, decidedAtMs, target, schedule } = entry;
    return {
      ihpa,
      portraits: [...(this.#portraits.get(namespace)?.get(name)?.values() ?? [])],
      schedule,
      cronReplicas: this.#cronReplicas,
      decisionAgeMs: decidedAtMs === undefined ? undefined : nowMs - decidedAtMs,
      ...(target && { target: { replicas: target.replicas, ageMs: nowMs - target.readAtMs } }),
    };
  }

  names(namespace: string): readonly string[] {
    const known = this.#listed.get(namespace);
    if (known) return known;
    const names = [...(this.#entries.get(namespace)?.keys() ?? [])].sort();
    if (names.length > 0) this.#listed.set(namespace, names);
    return names;
  }

  rival({ metadata, spec }: Pick<Ihpa, "metadata" | "spec">): string | undefined {
    const target = targetKey(spec.scaleTargetRef);
    for (const { ihpa } of this.#entries.get(metadata.namespace ?? "")?.values() ?? [])
      if (ihpa.metadata.name !== metadata.name && targetKey(ihpa.spec.scaleTargetRef) === target)
        return ihpa.metadata.name;
    return undefined;
  }

  /** How many IHPAs there are. */
  get size(): number {
    let size = 0;
    for (const entries of this.#entries.values()) size += entries.size;
    return size;
  }

  /** Every IHPA, for gauges and for what runs in the background. */
  *all(): Generator<ServedInputs> {
    for (const [namespace, entries] of this.#entries)
      for (const name of entries.keys()) {
        const inputs = this.ihpa(namespace, name);
        if (inputs) yield inputs;
      }
  }

  /** The IHPAs whose decision is stale or about to be, so that their targets' scale is wanted. */
  *aging(): Generator<Ihpa> {
    for (const { ihpa, decisionAgeMs } of this.all())
      if (decisionAgeMs !== undefined && decisionAgeMs > agingMs && ihpa.spec.scaleMode !== "Preview") yield ihpa;
  }

  setIhpa(ihpa: Ihpa): void {
    const { namespace = "", name } = ihpa.metadata;
    const entries = this.#entries.get(namespace) ?? new Map<string, Entry>();
    this.#entries.set(namespace, entries);
    const before = entries.get(name);
    const known = before?.ihpa.metadata.uid === ihpa.metadata.uid ? before : undefined;
    const seenAtMs = this.#clock.monotonicMs();
    const isSameSpec = known !== undefined && known.ihpa.metadata.generation === ihpa.metadata.generation;
    entries.set(name, {
      ihpa,
      decidedAtMs: this.#decidedAt(ihpa, known, seenAtMs),
      seenAtMs,
      target: known?.target,
      schedule: isSameSpec && ihpa.metadata.generation !== undefined ? known.schedule : this.#calendarOf(ihpa.spec),
    });
    if (!before) this.#listed.delete(namespace);
  }

  deleteIhpa(namespace: string, name: string): void {
    const entries = this.#entries.get(namespace);
    if (!entries?.delete(name)) return;
    if (entries.size === 0) this.#entries.delete(namespace);
    this.#listed.delete(namespace);
  }

  setPortrait(portrait: HorizontalPortrait): void {
    const { namespace = "", name } = portrait.metadata;
    this.deletePortrait(namespace, name); // It may have changed hands.
    const owner = ownerOf(portrait);
    if (owner === undefined) return;
    const ofNamespace = this.#portraits.get(namespace) ?? new Map<string, Map<string, HorizontalPortrait>>();
    this.#portraits.set(namespace, ofNamespace);
    const ofOwner = ofNamespace.get(owner);
    if (ofOwner) ofOwner.set(name, portrait);
    else ofNamespace.set(owner, new Map([[name, portrait]]));
  }

  deletePortrait(namespace: string, name: string): void {
    const ofNamespace = this.#portraits.get(namespace);
    for (const [owner, portraits] of ofNamespace ?? [])
      if (portraits.delete(name) && portraits.size === 0) ofNamespace?.delete(owner);
    if (ofNamespace?.size === 0) this.#portraits.delete(namespace);
  }

  /** Records the target's scale, as just read. */
  setTarget(namespace: string, name: string, replicas: number): void {
    const entry = this.#entries.get(namespace)?.get(name);
    if (entry) entry.target = { replicas, readAtMs: this.#clock.monotonicMs() };
  }

  #calendarOf(spec: Parameters<ReadSchedule>[0]): Calendar | undefined {
    try {
      return this.#readSchedule?.(spec);
    } catch {
      return undefined; // A window that can't be read is the controller's to report; the spec's own limits hold.
    }
  }

  readonly #cronReplicas = (portrait: HorizontalPortrait, timeMs: number): number | undefined => {
    if (!this.#cronPortraits.has(portrait)) {
      const cron = portrait.status?.portraitData?.cron;
      const provider = { type: "Cron", priority: 0, cron } as const;
      const spec = { minReplicas: 0, maxReplicas: Number.MAX_SAFE_INTEGER, portraitProviders: [provider] };
      this.#cronPortraits.set(portrait, cron && this.#calendarOf(spec));
    }
    return this.#cronPortraits.get(portrait)?.(timeMs).proposals[0]?.replicas;
  };

  /** When a decision was made, on our monotonic clock. */
  #decidedAt(ihpa: Ihpa, known: Entry | undefined, nowMs: number): number | undefined {
    const time = ihpa.status?.decision?.time;
    if (time === undefined) return undefined;
    if (known?.ihpa.status?.decision?.time === time) return known.decidedAtMs;
    // By the wall clock it is this old. But a new decision can't be older than the last sight of the one before.
    const claimedMs = Math.max(0, this.#clock.wallMs() - Date.parse(time));
    const ageMs = known ? Math.min(claimedMs, nowMs - known.seenAtMs) : claimedMs;
    return nowMs - (Number.isFinite(ageMs) ? ageMs : Infinity);
  }
}

/** The IHPA that a portrait belongs to. */
function ownerOf({ metadata }: HorizontalPortrait): string | undefined {
  return ownerName(metadata, "IntelligentHorizontalPodAutoscaler") ?? metadata.labels?.[ihpaLabel];
}

/** Versions of one group name the same workload. */
function targetKey(reference: { apiVersion?: string; kind: string; name: string }): string {
  const { apiVersion = "apps/v1", kind, name } = reference;
  return `${apiVersion.includes("/") ? apiVersion.split("/")[0] : ""}/${kind}/${name}`;
}
