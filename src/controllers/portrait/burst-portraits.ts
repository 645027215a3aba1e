import { algorithmFault, algorithmOf, type HorizontalPortrait } from "../../api/kinds/horizontal-portrait.ts";
import type { Decision } from "../../decide/decision.ts";
import { formatKey, keyOf } from "../../kube/client/resource.ts";
import { stamp } from "../../kube/times.ts";
import type { PortraitWriter } from "./portrait-writer.ts";

/** How long a burst's portrait is valid; an unchanged one is written again only to stay valid. */
const validMs = 300_000;
const renewMs = 30_000;

export interface BurstPortraitsOptions {
  readonly writer: Pick<PortraitWriter, "publish">;
  readonly now: () => number;
}

/** Whether a portrait shows bursts: it is written from the decision, and no decision reads it. */
export function showsBursts({ metadata, spec }: HorizontalPortrait): boolean {
  return (
    metadata.deletionTimestamp === undefined &&
    spec.externalGeneratorName === undefined &&
    algorithmOf(spec) === "Burst" &&
    algorithmFault(spec) === undefined
  );
}

/** Writes bursts that decisions found into the portraits of Burst providers, every half minute. */
export class BurstPortraits {
  readonly #options: BurstPortraitsOptions;
  readonly #written = new Map<string, { readonly atMs: number; readonly generation: number | undefined }>();

  constructor(options: BurstPortraitsOptions) {
    this.#options = options;
  }

  /** Writes a decision's burst into the IHPA's Burst portraits. Without a burst they say so, and propose nothing. */
  async show(portraits: readonly HorizontalPortrait[], { proposals, message }: Decision): Promise<void> {
    const { writer, now } = this.#options;
    const burst = proposals.find(({ provider }) => provider === "Burst");
    for (const portrait of portraits.filter(showsBursts)) {
      const key = formatKey(keyOf(portrait));
      const { generation } = portrait.metadata;
      const written = this.#written.get(key);
      if (written !== undefined && written.generation === generation && now() - written.atMs < renewMs) continue;
      const expireTime = stamp(now() + validMs);
      await writer.publish(
        portrait,
        burst ? { portraitData: { type: "Static", static: { replicas: burst.replicas }, expireTime } } : {},
        [
          burst
            ? { type: "PortraitGenerated", status: "True", reason: "Burst", message: message.slice(0, 1024) }
            : { type: "PortraitGenerated", status: "True", reason: "AsExpected", message: "there is no burst" },
        ],
      );
      this.#written.set(key, { atMs: now(), generation });
    }
  }

  /** @param key `namespace/name` of a portrait that is gone */
  forget(key: string): void {
    this.#written.delete(key);
  }
}
