import type { Cause } from "../../api/cause.ts";
import type { HorizontalPortrait, HorizontalPortraitStatus } from "../../api/kinds/horizontal-portrait.ts";
import type { Applier } from "../../kube/client/apply.ts";
import { resourceOf } from "../../kube/client/resource.ts";
import type { EventRecorder } from "../../kube/loop/events.ts";
import { stamp } from "../../kube/times.ts";
import { type Claim, transitions, withClaims } from "../status/set-condition.ts";
import { StatusOverlay } from "../status/status-overlay.ts";
import { withinSize } from "./portrait-size.ts";

export interface PortraitWriterOptions {
  readonly applier: Pick<Applier, "applyStatus">;
  readonly events: Pick<EventRecorder, "record">;
  readonly now: () => number;
}

/** What a portrait says, without the conditions. */
export type PortraitContent = Omit<HorizontalPortraitStatus, "conditions" | "observedGeneration">;

/** Writes the status of portraits, with an Event for each transition of a condition. */
export class PortraitWriter {
  readonly #options: PortraitWriterOptions;
  readonly #written = new StatusOverlay<HorizontalPortraitStatus>();

  constructor(options: PortraitWriterOptions) {
    this.#options = options;
  }

  async publish(portrait: HorizontalPortrait, content: PortraitContent, claims: readonly Claim[]): Promise<void> {
    const { applier, events, now } = this.#options;
    const { generation } = portrait.metadata;
    const before = this.#written.of(portrait)?.conditions;
    const status = withinSize({
      observedGeneration: generation,
      ...content,
      conditions: withClaims(before, claims, generation, stamp(now())),
    });
    const wanted = { ...portrait, status };
    await applier.applyStatus(resourceOf("HorizontalPortrait"), wanted, { cached: portrait, force: true });
    this.#written.note(portrait, status);
    for (const { type, status: holds, reason, message } of transitions(before, claims))
      events.record({
        regarding: portrait,
        type: holds === "True" ? "Normal" : "Warning",
        reason,
        action: "Forecast",
        note: `${type} is ${holds}: ${message}`,
      });
  }

  /** Reports a failure. The portrait keeps its content, which is valid until it expires. */
  fail(portrait: HorizontalPortrait, { reason, message }: Cause): Promise<void> {
    const { portraitData, forecast, accuracy, periods } = portrait.status ?? {};
    const stillValid = isValid(portrait, this.#options.now());
    const claims: Claim[] = [{ type: "PortraitGenerated", status: "False", reason, message: message.slice(0, 1024) }];
    if (portrait.spec.portraitType === "Predictive")
      claims.push({
        type: "ForecastReady",
        status: stillValid ? "True" : "False",
        reason,
        message:
          `${stillValid ? `the previous forecast is valid until ${portraitData!.expireTime}: ` : ""}${message}`.slice(
            0,
            1024,
          ),
      });
    const content = {
      ...(portraitData && { portraitData }),
      ...(forecast && { forecast }),
      ...(accuracy && { accuracy }),
      ...(periods && { periods }),
    };
    return this.publish(portrait, content, claims);
  }

  /** @param key `namespace/name` of a portrait that is gone */
  forget(key: string): void {
    this.#written.forget(key);
  }
}

/** Whether a portrait has not expired. */
export function isValid({ status }: HorizontalPortrait, nowMs: number): boolean {
  return Date.parse(status?.portraitData?.expireTime ?? "") > nowMs; // false where there is none
}
