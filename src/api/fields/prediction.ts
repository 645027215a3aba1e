import type { FromSchema, Schema } from "../schema.ts";
import { duration, percentage, timeZone } from "./fields.ts";

/** How the future is read: how sure, how far, in whose days. */
export const prediction = {
  type: "object",
  default: {},
  description: "How the forecast is made and how much headroom it buys.",
  properties: {
    quantile: {
      anyOf: [{ type: "integer" }, { type: "string" }],
      "x-kubernetes-int-or-string": true,
      maxLength: 8,
      pattern: "^[0-9]{1,2}(\\.[0-9]{1,4})?$",
      description:
        'Percentile of the load to be ready for, from 50 to 99.99: a whole number, or text such as `"99.9"`. It is the price of headroom: calm workloads pay little for it, bursty ones more. 95 where neither it nor objective is given.',
      "x-kubernetes-validations": [
        {
          rule: "double(string(self)) >= 50.0 && double(string(self)) <= 99.99",
          message: 'quantile is a percentile from 50 to 99.99; give a whole number such as 95, or text such as "99.9"',
        },
      ],
    },
    objective: {
      type: "object",
      required: ["underProvisioned"],
      description:
        "The share of time short of pods to stay below; the headroom follows from how the workload has behaved.",
      properties: {
        underProvisioned: {
          ...percentage,
          description: "Largest share of time with fewer pods than the load needs, such as `0.1%`; from 0.01% to 10%.",
          "x-kubernetes-validations": [
            {
              rule: "double(self.substring(0, size(self) - 1)) >= 0.01 && double(self.substring(0, size(self) - 1)) <= 10.0",
              message: 'underProvisioned is a share of time from "0.01%" to "10%"',
            },
          ],
        },
      },
    },
    timeZone: {
      ...timeZone,
      description: "IANA time zone where the workload's users live; its days and weeks shape the forecast.",
    },
    lead: {
      anyOf: [{ type: "integer" }, { type: "string" }],
      "x-kubernetes-int-or-string": true,
      maxLength: 8,
      pattern: "^Measured$",
      default: "Measured",
      description:
        "How far ahead pods are asked for: `Measured` (the p90 of the workload's own pods from creation to Ready), or whole seconds from 1 to 3600.",
      "x-kubernetes-validations": [
        {
          rule: "type(self) == string || (int(self) >= 1 && int(self) <= 3600)",
          message: "lead is Measured or whole seconds from 1 to 3600",
        },
      ],
    },
    history: duration("How much of the past is learned from.", "14d", {
      min: "1h",
      minSeconds: 3600,
      max: "90d",
      maxSeconds: 7776000,
    }),
    horizon: duration("How far ahead the forecast and the published portrait reach.", "24h", {
      min: "10m",
      minSeconds: 600,
      max: "7d",
      maxSeconds: 604800,
    }),
    accuracyGate: {
      type: "object",
      default: {},
      description:
        "When a forecast is too inaccurate to act on; the reactive value is then used, and the status says so.",
      properties: {
        enabled: { type: "boolean", default: true, description: "Whether the gate may drop a forecast." },
        maxError: {
          ...percentage,
          default: "100%",
          description: "Largest error of the forecast, as a percentage of the error of repeating the last season.",
        },
        window: duration("Time over which the error is taken, and for which it must be too large.", "1h", {
          min: "10m",
          minSeconds: 600,
          max: "7d",
          maxSeconds: 604800,
        }),
      },
    },
  },
  "x-kubernetes-validations": [
    {
      rule: "!(has(self.quantile) && has(self.objective))",
      message: "quantile and objective are two ways to say the same; give one of them",
    },
  ],
} as const satisfies Schema;

export type Prediction = FromSchema<typeof prediction>;

/** Percentile that holds where a manifest gives neither quantile nor objective. */
export const defaultQuantile = 95;

/** How headroom is chosen: `quantile` in (0.5, 1), or the share of time, in (0, 1), that may lack pods. */
export type Headroom =
  | { readonly kind: "Quantile"; readonly quantile: number }
  | { readonly kind: "Objective"; readonly underProvisioned: number };

/** Reads quantile or objective of a validated spec, as fractions. */
export function headroomOf(spec: Pick<Prediction, "quantile" | "objective"> | undefined): Headroom {
  if (spec?.objective !== undefined)
    return { kind: "Objective", underProvisioned: hundredth(spec.objective.underProvisioned.slice(0, -1)) };
  return { kind: "Quantile", quantile: hundredth(spec?.quantile ?? defaultQuantile) };
}

/** A hundredth of a decimal, exactly rounded: 99.9 / 100 would give 0.9990000000000001. */
function hundredth(decimal: string | number): number {
  return Number(`${decimal}e-2`);
}

/** Seconds that the spec fixes as the lead, or undefined where it is measured. */
export function configuredLeadSeconds(spec: Pick<Prediction, "lead"> | undefined): number | undefined {
  const lead = spec?.lead ?? "Measured";
  return lead === "Measured" ? undefined : Number(lead);
}
