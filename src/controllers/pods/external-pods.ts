import type { ReplicaProfile } from "../../api/kinds/replica-profile.ts";
import { formatKey, keyOf } from "../../kube/client/resource.ts";
import { stamp } from "../../kube/times.ts";
import type { PodInState } from "../../pods/pod-in-state.ts";
import type { ExternalPodStates } from "../../pods/transition.ts";
import type { ExternalPrograms, ExternalRef, Question } from "../external-programs/external-programs.ts";
import { faultHoldsMs, orderHoldsMs, type ProgramAnswer, statesHoldMs } from "./program-answer.ts";

export interface ExternalPodsOptions {
  readonly programs: Pick<ExternalPrograms, "ask" | "fault">;
  /** Called when a program has answered about a profile's pods, or has failed. */
  readonly onAnswered: (key: string) => void;
  readonly now: () => number;
}

type Answer = Readonly<Record<string, unknown>>;

/** A question to a program, and how its answer is read. */
interface ProgramRequest<T> {
  readonly question: Question;
  readonly holdsMs: number;
  /** What the answer should contain, for messages. */
  readonly wants: string;
  /** @returns undefined for an answer that can't be read */
  readonly read: (answer: Answer) => T | undefined;
}

interface KeptAnswer extends ProgramAnswer<unknown> {
  readonly askedMs: number;
  /** Generation of the spec that was asked about: for another one the program is asked at once. */
  readonly generation: number | undefined;
  readonly names: ReadonlySet<string>;
}

/** New pods are asked about at most this often. */
const newPodsWaitMs = 2000;
/** Asks external programs for the order in which pods leave, and for the states that they should be in. */
export class ExternalPods {
  readonly #options: ExternalPodsOptions;
  readonly #held = new Map<string, KeptAnswer>();

  constructor(options: ExternalPodsOptions) {
    this.#options = options;
  }

  forget(key: string): void {
    for (const question of ["/order", "/states"]) this.#held.delete(key + question);
  }

  /** The names of a workload's pods in the order in which a program lets them leave, first to leave first. */
  order(profile: ReplicaProfile, external: ExternalRef, pods: readonly PodInState[]): ProgramAnswer<readonly string[]> {
    const read = ({ order }: Answer) =>
      Array.isArray(order) && order.every((name) => typeof name === "string") ? order : undefined;
    const request = {
      question: "/order",
      holdsMs: orderHoldsMs,
      wants: `"order": a list of pods' names`,
      read,
    } as const;
    return this.#lastAnswer(profile, external, pods, request);
  }

  /** The states that a program wants a workload's pods in, by name. */
  states(
    profile: ReplicaProfile,
    external: ExternalRef,
    pods: readonly PodInState[],
  ): ProgramAnswer<ExternalPodStates> {
    const read = ({ states }: Answer) => {
      if (typeof states !== "object" || states === null || Array.isArray(states)) return undefined;
      const byPod = new Map(Object.entries(states as Record<string, unknown>));
      const isKnown = (state: unknown) => state === "Online" || state === "Cutoff" || state === "Standby";
      return [...byPod.values()].every(isKnown) ? (byPod as ExternalPodStates) : undefined;
    };
    const wants = '"states": Online, Cutoff or Standby by pod';
    return this.#lastAnswer(profile, external, pods, { question: "/states", holdsMs: statesHoldMs, wants, read });
  }

  /** A program's last answer. A new one is requested in the background; only the first one is waited for. */
  #lastAnswer<T>(
    profile: ReplicaProfile,
    external: ExternalRef,
    pods: readonly PodInState[],
    request: ProgramRequest<T>,
  ): ProgramAnswer<T> {
    const key = formatKey(keyOf(profile));
    const slot = key + request.question;
    const { now } = this.#options;
    const known = this.#held.get(slot);
    const { generation } = profile.metadata;
    const ageMs = now() - (known?.askedMs ?? Number.NEGATIVE_INFINITY);
    const isOther = known?.generation !== generation || pods.some(({ name }) => !known?.names.has(name));
    const isDue =
      ageMs > (known?.fault === undefined ? request.holdsMs : faultHoldsMs) || (isOther && ageMs > newPodsWaitMs);
    if (known !== undefined && (!isDue || known.isAsking)) return known as ProgramAnswer<T>;
    const names = new Set(pods.map(({ name }) => name));
    const asking: KeptAnswer = { ...known, askedMs: now(), generation, names, isAsking: known === undefined };
    this.#held.set(slot, asking);
    void this.#ask(profile, external, pods, request).then((known) => {
      if (this.#held.get(slot) !== asking) return;
      const { answer } = asking; // kept: an old answer is better than none
      this.#held.set(slot, {
        ...asking,
        ...(answer !== undefined && { answer }),
        fault: undefined,
        ...known,
        isAsking: false,
      });
      this.#options.onAnswered(key);
    });
    return asking as ProgramAnswer<T>;
  }

  async #ask<T>(
    { metadata, spec }: ReplicaProfile,
    external: ExternalRef,
    pods: readonly PodInState[],
    { question, wants, read }: ProgramRequest<T>,
  ): Promise<Pick<ProgramAnswer<T>, "answer" | "fault">> {
    const { programs } = this.#options;
    try {
      const response = await programs.ask(external, question, {
        namespace: metadata.namespace,
        workload: spec.scaleTargetRef,
        wanted: { online: spec.onlineReplicas, cutoff: spec.cutoffReplicas, standby: spec.standbyReplicas },
        pods: pods.map(({ name, state, ready, sidecar, node, zone, restarts, createdMs }) => ({
          name,
          state,
          ready,
          mayStandBy: sidecar,
          ...(node !== undefined && { node }),
          ...(zone !== undefined && { zone }),
          restarts,
          createdTime: stamp(createdMs),
        })),
      });
      const answer = read(response);
      if (answer === undefined) throw programs.fault(external, `answers ${question} without ${wants}`);
      return { answer };
    } catch (error) {
      return { fault: (error as Error).message };
    }
  }
}
