import type { KubeClient } from "../client/client.ts";
import { isKubeError, KubeError } from "../client/kube-error.ts";
import { type KubeObject, type ObjectKey, resources } from "../client/resource.ts";
import { type Log, silent } from "../log.ts";
import type { KubeMetrics } from "../metrics.ts";
import { microTime } from "../times.ts";
import { type Clock, sleep, systemClock, type Timer } from "./clock.ts";

export interface LeaderElectionOptions {
  readonly client: KubeClient;
  /** The Lease that all candidates name. */
  readonly lease: ObjectKey;
  /** Of this process alone: a pod's name with something random, as two processes of one name would both hold it. */
  readonly identity: string;
  /** How long the others wait after the last renewal they saw; default 15 s. */
  readonly leaseMs?: number;
  /** How long a leader goes on without a renewal; default 10 s. Must be below `leaseMs`. */
  readonly renewDeadlineMs?: number;
  /** Between two attempts, lengthened by up to a fifth; default 2 s. */
  readonly retryMs?: number;
  readonly clock?: Clock;
  /** In [0, 1), for jitter. */
  readonly random?: () => number;
  readonly metrics?: KubeMetrics;
  readonly log?: Log;
}

/** Says whether this process may still write as the leader. */
export interface Fence {
  /** The term: a number that is higher with each new holder. @throws KubeError `NotLeader` */
  check(): number;
}

/** What holding the Lease gives. */
export interface Leadership extends Fence {
  /** `leaseTransitions` of the Lease: the fencing token. */
  readonly term: number;
  /** True while no other candidate can hold the Lease. Computed at each asking, so it is right after a pause, too. */
  readonly isValid: boolean;
  /** Aborted when the Lease is lost or released. A program that lost it exits. */
  readonly ended: AbortSignal;
  /** Gives the Lease back, if it still names us; to be called when no more writes will come. Never rejects. */
  release(): Promise<void>;
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}
interface Lease extends KubeObject {
  readonly spec?: LeaseSpec;
}

/**
 * Waits for the Lease, then holds it by renewals until it is released or lost.
 *
 * @param onLost called once when the Lease is lost (not when released): the process should end without writing
 * @throws the signal's reason when aborted before the Lease was had; later the signal has no effect
 */
export async function acquireLeadership(
  options: LeaderElectionOptions,
  signal: AbortSignal,
  onLost?: (error: KubeError) => void,
): Promise<Leadership> {
  const candidate = new Candidate(options);
  const { clock = systemClock, retryMs = 2_000, random = Math.random, log = silent } = options;
  for (;;) {
    signal.throwIfAborted();
    try {
      if (await candidate.attempt(signal)) return candidate.lead(onLost);
    } catch (error) {
      signal.throwIfAborted();
      log.warn("the Lease could not be had", { lease: candidate.name, error: (error as Error).message });
    }
    await sleep(clock, retryMs * (1 + 0.2 * random()), signal);
  }
}

class Candidate {
  readonly name: string;
  readonly #options: LeaderElectionOptions;
  readonly #clock: Clock;
  readonly #leaseMs: number;
  readonly #renewDeadlineMs: number;
  readonly #retryMs: number;
  #seen: Lease | undefined;
  /** When `#seen` was first seen as it is, on our own clock: the peer's is never believed. */
  #seenMs = Number.NEGATIVE_INFINITY;
  /** When the last renewal that succeeded was sent. */
  #renewedMs = Number.NEGATIVE_INFINITY;
  /** The highest term seen, and whether it is ours: a Lease that someone deletes must not start them anew. */
  #term = -1;
  #isTermOurs = false;

  constructor(options: LeaderElectionOptions) {
    const { leaseMs = 15_000, renewDeadlineMs = 10_000, retryMs = 2_000 } = options;
    if (!(renewDeadlineMs < leaseMs && retryMs * 1.2 < renewDeadlineMs))
      throw new RangeError(`a Lease needs retry ${retryMs} < renew deadline ${renewDeadlineMs} < duration ${leaseMs}`);
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#leaseMs = leaseMs;
    this.#renewDeadlineMs = renewDeadlineMs;
    this.#retryMs = retryMs;
    this.name = `${options.lease.namespace}/${options.lease.name}`;
  }

  /** Takes or renews the Lease. @returns false when another holds it */
  async attempt(signal?: AbortSignal): Promise<boolean> {
    const { client, lease, identity } = this.#options;
    // Half the deadline, so that one dead connection leaves time for another.
    const call = { signal, timeoutMs: this.#renewDeadlineMs / 2, exempt: true };
    const isOurs = this.#seen?.spec?.holderIdentity === identity;
    if (!isOurs) this.#observe(await client.find<Lease>(resources.leases, lease, call));

    const held = this.#seen?.spec;
    const holder = held?.holderIdentity ?? "";
    const validMs = (held?.leaseDurationSeconds ?? this.#leaseMs / 1000) * 1000;
    if (holder !== "" && holder !== identity && this.#clock.monotonicMs() < this.#seenMs + validMs) return false;

    const sentMs = this.#clock.monotonicMs();
    const now = microTime(this.#clock.wallMs());
    const spec: LeaseSpec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(this.#leaseMs / 1000),
      acquireTime: holder === identity ? held?.acquireTime : now,
      renewTime: now,
      leaseTransitions: holder === identity || this.#isTermOurs ? this.#term : this.#term + 1,
    };
    try {
      const written = this.#seen
        ? await client.replace<Lease>(resources.leases, { ...this.#seen, spec }, call)
        : await client.create<Lease>(resources.leases, this.#fresh(spec), call);
      this.#observe(written);
      this.#renewedMs = sentMs;
      return true;
    } catch (error) {
      if (isOurs) this.#seen = undefined; // It is not as we left it, or no one knows: read it before the next attempt.
      if (isKubeError(error, "Conflict", "AlreadyExists")) return false;
      throw error;
    }
  }

  lead(onLost?: (error: KubeError) => void): Leadership {
    const { clock = systemClock, random = Math.random, metrics, log = silent } = this.#options;
    const term = this.#term;
    const ended = new AbortController();
    const stopped = new AbortController();
    const name = this.name;
    const isValid = () => !ended.signal.aborted && clock.monotonicMs() - this.#renewedMs < this.#renewDeadlineMs;
    const end = (text: string) => {
      const error = new KubeError("NotLeader", `the Lease ${name}: ${text}`, { object: `leases ${name}` });
      stopped.abort(error);
      ended.abort(error);
      metrics?.leader.set({ lease: name }, 0);
      return error;
    };
    const lose = (text: string) => {
      if (ended.signal.aborted) return;
      log.error("the Lease is lost", { lease: name, why: text });
      onLost?.(end(text));
    };

    let fault: Error | undefined;
    const tooLate = () =>
      `not renewed within ${this.#renewDeadlineMs / 1000} s${fault ? `, at last because of this: ${fault.message}` : ""}`;
    let deadline: Timer | undefined;
    const guard = () => {
      deadline?.cancel();
      const leftMs = this.#renewedMs + this.#renewDeadlineMs - clock.monotonicMs();
      deadline = clock.setTimer(() => lose(tooLate()), leftMs);
    };
    const renew = async () => {
      let isPressing = false;
      for (;;) {
        // After an attempt that took all its time there is none to sleep.
        if (!isPressing) await sleep(clock, this.#retryMs * (1 + 0.2 * random()), stopped.signal);
        isPressing = false;
        // A process that was stopped may come here before the deadline's timer: it is too late all the same.
        if (!isValid()) return lose(tooLate());
        try {
          const isHeld = await this.attempt(stopped.signal);
          if (stopped.signal.aborted) return;
          fault = undefined;
          if (isHeld) guard();
          else if (this.#isAnothers()) return lose("another process took it");
        } catch (error) {
          if (stopped.signal.aborted) return;
          fault = error as Error;
          isPressing = isKubeError(error, "Timeout");
          log.warn("the Lease was not renewed", { lease: name, error: (error as Error).message });
        }
      }
    };
    guard();
    metrics?.leader.set({ lease: name }, 1);
    log.info("the Lease is ours", { lease: name, term });
    const renewing = renew().catch(() => {}); // Only its sleep throws, when stopped.

    return {
      term,
      ended: ended.signal,
      get isValid() {
        return isValid();
      },
      check() {
        if (isValid()) return term;
        throw new KubeError("NotLeader", `the Lease ${name} is not held any more, so nothing is written`, {
          object: `leases ${name}`,
        });
      },
      release: async () => {
        deadline?.cancel();
        end("released");
        await renewing;
        await this.#giveBack();
      },
    };
  }

  /** True when the Lease was read since and names another holder, or none. */
  #isAnothers(): boolean {
    return this.#seen !== undefined && this.#seen.spec?.holderIdentity !== this.#options.identity;
  }

  async #giveBack(): Promise<void> {
    const { client, identity, lease, log = silent } = this.#options;
    try {
      // Read first: a renewal may have been cut off after the server had taken it.
      const current = await client.find<Lease>(resources.leases, lease, { timeoutMs: 2_000, exempt: true });
      if (current?.spec?.holderIdentity !== identity) return;
      const now = microTime(this.#clock.wallMs());
      const spec = { ...current.spec, holderIdentity: "", leaseDurationSeconds: 1, renewTime: now, acquireTime: now };
      await client.replace<Lease>(resources.leases, { ...current, spec }, { timeoutMs: 2_000, exempt: true });
      log.info("the Lease is given back", { lease: this.name });
    } catch (error) {
      log.warn("the Lease could not be given back", { lease: this.name, error: (error as Error).message });
    }
  }

  #fresh(spec: LeaseSpec): Lease {
    return { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: this.#options.lease, spec };
  }

  #observe(lease: Lease | undefined): void {
    if (lease && this.#seen && lease.metadata.resourceVersion === this.#seen.metadata.resourceVersion) return;
    this.#seen = lease;
    this.#seenMs = this.#clock.monotonicMs();
    if (!lease) return;
    this.#term = Math.max(this.#term, lease.spec?.leaseTransitions ?? 0);
    this.#isTermOurs = lease.spec?.holderIdentity === this.#options.identity;
  }
}
