import type { FromSchema, Schema } from "../schema.ts";
import { replicas, timeZone } from "./fields.ts";

const cron = {
  type: "string",
  maxLength: 128,
  "x-kubernetes-validations": [
    {
      // A rule rather than a pattern, for the sake of its message.
      rule: "self.matches('^[^ ]+( +[^ ]+){4}$')",
      message: "a cron expression has five fields: give minute, hour, day of month, month and day of week",
    },
  ],
} as const satisfies Schema;

const localTime = {
  type: "string",
  minLength: 10,
  maxLength: 19,
  pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?$",
} as const satisfies Schema;

/** What every time window has, whatever it bounds. */
const windowFields = {
  name: {
    type: "string",
    minLength: 1,
    maxLength: 63,
    pattern: "^[A-Za-z0-9]([-A-Za-z0-9_. ]*[A-Za-z0-9])?$",
    description: "Name of the window, its own within the list.",
  },
  description: { type: "string", maxLength: 1024, description: "What the window is for." },
  timeZone,
  start: {
    ...cron,
    description:
      "When the window opens: a cron expression of five fields (minute, hour, day of month, month, day of week), read in timeZone. The window is open when `end` comes before the next `start`.",
  },
  end: { ...cron, description: "When the window closes: a cron expression of five fields, read in timeZone." },
  from: {
    ...localTime,
    description:
      "First moment of the window, or of the days on which its cron applies: `2025-11-10` or `2025-11-10T20:00`, read in timeZone.",
  },
  until: {
    ...localTime,
    description: "End of the window (exclusive), written as `from`; a date alone includes that whole day.",
  },
  excludeDates: {
    type: "array",
    maxItems: 64,
    "x-kubernetes-list-type": "atomic",
    description:
      "Days, read in timeZone, on which the window stays closed: `2025-12-25`, `12-25` (every year), or a cron expression that begins with `* *`.",
    items: {
      type: "string",
      minLength: 5,
      maxLength: 64,
      pattern: "^([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{2}-[0-9]{2}|\\* +\\* +\\S+ +\\S+ +\\S+)$",
    },
  },
} as const;

const floor = replicas(
  "Lowest number of replicas while the window is open; the highest of several open windows holds.",
);
const cap = replicas("Highest number of replicas while the window is open; the lowest of several open windows holds.");

const startNeedsEnd = {
  rule: "has(self.start) == has(self.end)",
  message: "start and end belong together: give both cron expressions, or neither and the dates from and until",
} as const;
const minBelowMax = {
  rule: "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
  message: "minReplicas is above maxReplicas; lower minReplicas or raise maxReplicas",
} as const;
const hasTime = {
  rule: "has(self.start) || has(self.from) || has(self.until)",
  message: "a window needs a time: give start and end (cron expressions), or from and until (dates)",
} as const;
const uniqueNames = {
  rule: "self.all(one, self.exists_one(other, other.name == one.name))",
  message: "two windows have the same name; give each its own",
} as const;

/** A rule of the Cron provider: Kapacity's, with a floor, a cap, dates and days that are left out beside it. */
export const replicaCron = {
  type: "object",
  required: ["name"],
  description: "One window of the schedule.",
  properties: {
    ...windowFields,
    replicas: replicas("Number of replicas proposed while the window is open."),
    minReplicas: floor,
    maxReplicas: cap,
  },
  "x-kubernetes-validations": [
    startNeedsEnd,
    hasTime,
    minBelowMax,
    {
      rule: "has(self.replicas) || has(self.minReplicas) || has(self.maxReplicas)",
      message: "a window changes nothing without a number; give replicas, minReplicas or maxReplicas",
    },
  ],
} as const satisfies Schema;

export type ReplicaCron = FromSchema<typeof replicaCron>;

/** The windows of a Cron provider, and of a Cron portrait. */
export const crons = {
  type: "array",
  minItems: 1,
  maxItems: 64,
  "x-kubernetes-list-type": "atomic",
  description: "Windows; where several are open at once, the largest replicas wins.",
  items: replicaCron,
  "x-kubernetes-validations": [uniqueNames],
} as const satisfies Schema;

/** A window that narrows minReplicas and maxReplicas. */
const bound = {
  type: "object",
  required: ["name"],
  description: "One window with its own minimum, maximum or both.",
  properties: { ...windowFields, minReplicas: floor, maxReplicas: cap },
  "x-kubernetes-validations": [
    startNeedsEnd,
    hasTime,
    minBelowMax,
    {
      rule: "has(self.minReplicas) || has(self.maxReplicas)",
      message: "a bound changes nothing without a number; give minReplicas, maxReplicas or both",
    },
  ],
} as const satisfies Schema;

export type Bound = FromSchema<typeof bound>;

export const bounds = {
  type: "array",
  maxItems: 64,
  "x-kubernetes-list-type": "atomic",
  description:
    "Minimum and maximum for windows of time, within spec.minReplicas and spec.maxReplicas. Where several are open at once, the highest minimum and the lowest maximum hold, the maximum before the minimum.",
  items: bound,
  "x-kubernetes-validations": [uniqueNames],
} as const satisfies Schema;

/** A window with its own size of the hot pool. */
const standbyWindow = {
  type: "object",
  required: ["name", "minReplicas"],
  description: "One window with its own size of the hot pool.",
  properties: { ...windowFields, minReplicas: replicas("Standby pods kept while the window is open.") },
  "x-kubernetes-validations": [startNeedsEnd, hasTime],
} as const satisfies Schema;

export const standbySchedule = {
  type: "array",
  maxItems: 16,
  "x-kubernetes-list-type": "atomic",
  description: "Windows in which another number of pods is kept; where several are open at once, the largest holds.",
  items: standbyWindow,
  "x-kubernetes-validations": [uniqueNames],
} as const satisfies Schema;

/** What any window needs to tell when it is open. */
export type TimeWindow = Pick<ReplicaCron, "name" | "timeZone" | "start" | "end" | "from" | "until" | "excludeDates">;
