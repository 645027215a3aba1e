import { X509Certificate } from "node:crypto";
import type { KubeClient } from "../../kube/client/client.ts";
import { type Log, silent } from "../../kube/log.ts";
import { type Clock, sleep, systemClock } from "../../kube/loop/clock.ts";
import { validity } from "../access/client-certificate.ts";
import type { ServeMetrics } from "../metrics.ts";
import {
  type BundleState,
  isLostRace,
  publishToApiService,
  publishToWebhooks,
  type ServiceReference,
} from "./ca-bundle.ts";
import { defaultLifetimes, type Lifetimes, planRotation, rotate } from "./certificate-rotation.ts";
import { CertificateStore } from "./certificate-store.ts";
import type { Issued } from "./certificates.ts";

export interface CertificateKeeperOptions {
  readonly client: KubeClient;
  readonly secret: { readonly namespace: string; readonly name: string };
  readonly service: ServiceReference;
  /** What the certificate must stand for, the Service's DNS name first. */
  readonly names: readonly string[];
  /** Called with each certificate that is to be presented from now on. */
  readonly onCertificate?: (certificate: Issued) => void;
  readonly lifetimes?: Lifetimes;
  /** Time between two looks at the Secret and the caBundles. */
  readonly checkEveryMs?: number;
  readonly clock?: Clock;
  readonly log?: Log;
  readonly metrics?: ServeMetrics;
}

// Steps and lost races within one look; more in a row are neither.
const mostTries = 8;

/**
 * Keeps the serving certificate: one Secret for all replicas, an authority of our own, and the caBundle of every
 * registration. Each look reads the whole state, takes the steps that are due, and may be repeated at any moment.
 */
export class CertificateKeeper {
  readonly #options: CertificateKeeperOptions;
  readonly #store: CertificateStore;
  readonly #clock: Clock;
  readonly #log: Log;
  #presented: Issued | undefined;
  #published: { readonly bundle: string; readonly sinceMs: number } | undefined;
  #authorities = "";
  #lastStates = "";

  constructor(options: CertificateKeeperOptions) {
    this.#options = options;
    this.#store = new CertificateStore(options.client, options.secret);
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silent;
  }

  /** The certificate to present; undefined before the first look. */
  get certificate(): Issued | undefined {
    return this.#presented;
  }

  /** The authorities that vouch for what is presented, as PEM; empty before the first look. */
  get authorities(): string {
    return this.#authorities;
  }

  /**
   * Looks once and does what is due.
   *
   * @throws KubeError when the API server does not answer or refuses; what was presented before goes on
   */
  async look(): Promise<void> {
    const lifetimes = this.#options.lifetimes ?? defaultLifetimes;
    for (let tries = 0; tries < mostTries; tries++) {
      const { stored, resourceVersion } = await this.#store.read();
      const nowMs = this.#clock.wallMs();
      const inputs = {
        stored,
        names: this.#options.names,
        publishedForMs: this.#publishedForMs(stored.bundle),
        lifetimes,
        nowMs,
      };
      const step = planRotation(inputs);
      if (step === "Nothing") {
        // Trust first, then use: a caller must never meet a certificate before its authority.
        this.#authorities = stored.bundle;
        await this.#publish(stored.bundle);
        this.#present(stored.serving);
        return;
      }
      try {
        await this.#store.write(await rotate(step, inputs), resourceVersion);
        this.#options.metrics?.rotations.inc({ step });
        this.#log.info("certificates rotated", { step });
      } catch (error) {
        if (!isLostRace(error)) throw error;
      }
    }
    const { namespace, name } = this.#options.secret;
    throw new Error(
      `Secret ${namespace}/${name} does not come to rest after ${mostTries} writes; look at who else writes it`,
    );
  }

  /** Looks again and again until the signal is aborted; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await sleep(this.#clock, this.#options.checkEveryMs ?? 10_000, signal).catch(() => {});
      if (signal.aborted) return;
      await this.look().catch((error: Error) =>
        this.#log.warn("certificates could not be looked after", { error: error.message }),
      );
    }
  }

  #publishedForMs(bundle: string): number | undefined {
    return this.#published?.bundle === bundle ? this.#clock.monotonicMs() - this.#published.sinceMs : undefined;
  }

  async #publish(bundle: string): Promise<void> {
    const { client, service } = this.#options;
    const states: Record<string, BundleState> = {};
    try {
      states.apiService = await publishToApiService(client, service, bundle);
      states.validation = await publishToWebhooks("Validating", client, service, bundle);
      states.injection = await publishToWebhooks("Mutating", client, service, bundle);
    } catch (error) {
      if (isLostRace(error)) return; // Another replica writes the same; the next look will see.
      throw error;
    }
    if (
      this.#published?.bundle !== bundle ||
      Object.values(states).some((state) => state.kind === "Published" && state.wasRepaired)
    )
      this.#published = { bundle, sinceMs: this.#clock.monotonicMs() };
    this.#report(states);
  }

  /** Says what is new about the registrations, once. */
  #report(states: Readonly<Record<string, BundleState>>): void {
    const text = JSON.stringify(states);
    if (text === this.#lastStates) return;
    this.#lastStates = text;
    const isWell = Object.values(states).every((state) => state.kind === "Published");
    this.#log[isWell ? "info" : "warn"]("registrations looked at", states);
  }

  #present(serving: Issued | undefined): void {
    if (!serving || serving.certificate === this.#presented?.certificate) return;
    this.#presented = serving;
    const { toMs } = validity(new X509Certificate(serving.certificate));
    this.#options.metrics?.certificateExpiry.set({ certificate: "serving" }, toMs / 1000);
    this.#log.info("serving certificate presented", { until: new Date(toMs).toISOString() });
    this.#options.onCertificate?.(serving);
  }
}
