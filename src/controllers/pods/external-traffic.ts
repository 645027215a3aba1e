import type { ReplicaProfile } from "../../api/kinds/replica-profile.ts";
import { trafficAnnotation } from "../../api/labels.ts";
import { CollectError } from "../../collect/collect-error.ts";
import { readPodInState } from "../../pods/pod-in-state.ts";
import type { TransitionPlan } from "../../pods/transition.ts";
import type { ExternalPrograms, ExternalRef } from "../external-programs/external-programs.ts";
import type { Pod } from "./workload-pods.ts";

export interface ExternalTrafficOptions {
  readonly programs: Pick<ExternalPrograms, "ask" | "fault">;
  readonly now: () => number;
}

/** A pod to put into rotation, or to take out of it. */
export interface TrafficChange {
  readonly pod: Pod;
  readonly online: boolean;
}

/** Result of a request to a traffic controller. */
export interface TrafficResult {
  /** Names of the pods that it changed. */
  readonly done: ReadonlySet<string>;
  readonly fault?: string;
}

/** A program that failed is not called again for this long. */
const failedForMs = 2000;

/** Has external programs put pods into rotation and take them out. */
export class ExternalTraffic {
  readonly #options: ExternalTrafficOptions;
  readonly #failures = new Map<string, { readonly atMs: number; readonly fault: string }>();

  constructor(options: ExternalTrafficOptions) {
    this.#options = options;
  }

  /** Has external programs change pods' traffic; what they have not done is taken out of the plan. */
  async carryOut(
    plan: TransitionPlan,
    pods: ReadonlyMap<string, Pod>,
    { metadata, spec }: ReplicaProfile,
  ): Promise<{ plan: TransitionPlan; fault?: string }> {
    const { external } = spec.behavior.podTrafficController;
    const programs = new Map<string, { ref: ExternalRef; changes: TrafficChange[] }>();
    const unconfirmed = new Set<string>();
    for (const { pod: name, online } of plan.gates) {
      const pod = pods.get(name)!;
      const taker = pod.metadata.annotations?.[trafficAnnotation];
      const ref = online && taker !== undefined && taker !== external?.name ? { name: taker } : external;
      if (ref === undefined) continue;
      unconfirmed.add(name);
      // A pod that is starting is announced once it can serve.
      if (online && !readPodInState(pod).containersReady) continue;
      const program = programs.get(ref.name) ?? { ref, changes: [] };
      programs.set(ref.name, program);
      program.changes.push({ pod, online });
    }
    let fault: string | undefined;
    for (const { ref, changes } of programs.values()) {
      const result = await this.change(ref, metadata.namespace!, changes);
      fault ??= result.fault;
      for (const name of result.done) unconfirmed.delete(name);
    }
    if (unconfirmed.size === 0) return { plan };
    const isConfirmed = ({ pod }: { readonly pod: string }) => !unconfirmed.has(pod);
    return {
      plan: {
        ...plan,
        transitions: plan.transitions.filter((each) => isConfirmed(each) || each.from === "Standby"),
        gates: plan.gates.filter(isConfirmed),
        deletionCosts: plan.deletionCosts.filter(isConfirmed),
      },
      ...(fault !== undefined && { fault }),
    };
  }

  /** Has a program put pods into rotation or take them out. Only pods that it confirms have changed. */
  async change(external: ExternalRef, namespace: string, changes: readonly TrafficChange[]): Promise<TrafficResult> {
    const { programs, now } = this.#options;
    if (changes.length === 0) return { done: new Set() };
    const failure = this.#failures.get(external.name);
    if (failure && now() - failure.atMs < failedForMs) return { done: new Set(), fault: failure.fault };
    try {
      const { done } = await programs.ask(external, "/traffic", {
        namespace,
        pods: changes.map(({ pod: { metadata, spec, status }, online }) => ({
          name: metadata.name,
          ...(status?.podIP && { ip: status.podIP }),
          ...(spec?.nodeName && { node: spec.nodeName }),
          online,
        })),
      });
      if (!Array.isArray(done))
        throw programs.fault(external, 'answers /traffic without "done": a list of pods\' names');
      this.#failures.delete(external.name);
      const names = new Set(done);
      const missing = changes.map(({ pod }) => pod.metadata.name).filter((name) => !names.has(name));
      return {
        done: names,
        ...(missing.length > 0 && {
          fault: `${external.name} did not change the traffic of ${missing.slice(0, 5).join(", ")}${missing.length > 5 ? ` and ${missing.length - 5} more` : ""}`,
        }),
      };
    } catch (error) {
      if (!(error instanceof CollectError)) throw error;
      this.#failures.set(external.name, { atMs: now(), fault: error.message });
      return { done: new Set(), fault: error.message };
    }
  }
}
