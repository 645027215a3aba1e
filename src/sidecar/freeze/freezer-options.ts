import type { SidecarReport } from "../../pods/sidecar-protocol.ts";
import { defaultPreflightLimits, type PreflightLimits } from "../preflight.ts";
import { type DrainLimits, defaultDrainLimits } from "../sockets.ts";

/** The bounds of a freeze. */
export interface FreezerLimits {
  readonly preflight: PreflightLimits;
  readonly drain: DrainLimits;
  /** A freeze ends by itself after this, also without any message. */
  readonly longestFreezeMs: number;
  /** How often a frozen application is looked at. */
  readonly watchMs: number;
  /** How long a thawed application may take to answer. */
  readonly answerMs: number;
}

export const defaultFreezerLimits: FreezerLimits = {
  preflight: defaultPreflightLimits,
  drain: defaultDrainLimits,
  longestFreezeMs: 12 * 3_600_000,
  watchMs: 1000,
  answerMs: 30_000,
};

/** Where the freezer says what it does: constant messages, values in fields. */
export interface FreezerLog {
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
}

export interface FreezerOptions {
  /** A volume of the pod on storage: journal and image. */
  readonly folder: string;
  /** A memory-backed volume that only the sidecar mounts: the image's key. */
  readonly keyFolder: string;
  /** Path of the native helper. */
  readonly helper: string;
  /** True when the application answers. Asked after a thaw until it does. */
  answers(): Promise<boolean>;
  onReport(report: SidecarReport): void;
  readonly log: FreezerLog;
  readonly limits?: Partial<FreezerLimits>;
  /** Why this pod is never frozen, as its annotations or probes say; undefined when it may be. */
  declined?(): string | undefined;
  /** Where /proc of the shared process namespace is. */
  readonly proc?: string;
  /** Told before each step of a freeze or a thaw, with the helper's process id. */
  onStep?(step: string, helperPid: number | undefined): void | Promise<void>;
}
