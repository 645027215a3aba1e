/** How a sidecar gives a frozen application's memory back, most preferred first; `FreezeOnly` keeps the memory and frees CPU alone. */
export const standbyModes = ["Image", "Swap", "FreezeOnly"] as const;
export type StandbyMode = (typeof standbyModes)[number];

/** Where a sidecar stands with its application. In `Refused` and `Failed` the application runs. */
export const sidecarStates = [
  "Online",
  "Draining",
  "Freezing",
  "Standby",
  "Resuming",
  "Refused",
  "Failed",
  "Restarted",
] as const;
export type SidecarState = (typeof sidecarStates)[number];

/** What a sidecar says of its application: at the start of a stream, and whenever it changes. */
export interface SidecarReport {
  readonly type: "report";
  readonly state: SidecarState;
  /** How memory was given back; only in Standby. */
  readonly mode?: StandbyMode;
  /** Anonymous memory given back, in bytes; only in Standby. */
  readonly savedBytes?: number;
  /** Why, in a word and a sentence: of a refusal, a failure, a restart. */
  readonly reason?: string;
  readonly message?: string;
}

/** A new token, before the one that opened the stream ends. */
export interface SidecarToken {
  readonly type: "token";
  readonly token: string;
}

export type SidecarMessage = SidecarReport | SidecarToken;

/** What the server wants of an application: a level, so that saying it again changes nothing. */
export interface DesiredState {
  readonly type: "want";
  readonly state: "Online" | "Standby";
  /** The mode to try first in Standby; the sidecar falls back in the order of `standbyModes`. */
  readonly mode?: StandbyMode;
  /** Ids of containers that run on: native sidecars of others, such as a mesh's proxy; none where absent. */
  readonly beside?: readonly string[];
}

/** The authorities of the server's certificate from now on, as PEM: a pod may live longer than the one it was made with. */
export interface ServerAuthorities {
  readonly type: "authorities";
  readonly pem: string;
}

export type ServerMessage = DesiredState | ServerAuthorities;

/** Where a sidecar asks for its stream, and the protocol of it: HTTP/1.1 upgraded to lines of JSON both ways. */
export const streamPath = "/sidecar/v1/stream";
export const streamProtocol = "forescale-sidecar";

/** What the sidecar's token is for. */
export const tokenAudience = "forescale";

/** A side that hears nothing for `silenceMs` ends the stream; the server says an empty line this often, and it is echoed. */
export const keepAliveMs = 25_000;
export const silenceMs = 80_000;

/** A longer line ends the stream. */
export const longestLineBytes = 64 * 1024;

const longestReason = 64;
const longestMessage = 1000;

/**
 * What a sidecar said, checked: it is a program in a tenant's pod.
 *
 * @returns undefined for what is none of the messages; text is cut to what a condition takes
 */
export function readSidecarMessage(value: unknown): SidecarMessage | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { type, token, state, mode, savedBytes, reason, message } = value as Record<string, unknown>;
  if (type === "token") return typeof token === "string" && token !== "" ? { type, token } : undefined;
  if (type !== "report" || !sidecarStates.includes(state as SidecarState)) return undefined;
  const isWord = typeof reason === "string" && /^[A-Za-z][A-Za-z0-9]*$/.test(reason);
  return {
    type,
    state: state as SidecarState,
    ...(standbyModes.includes(mode as StandbyMode) && { mode: mode as StandbyMode }),
    ...(Number.isSafeInteger(savedBytes) && (savedBytes as number) >= 0 && { savedBytes: savedBytes as number }),
    ...(isWord && { reason: reason.slice(0, longestReason) }),
    ...(typeof message === "string" && { message: message.slice(0, longestMessage) }),
  };
}

/** What a server said; undefined for what this version does not know. */
export function readServerMessage(value: unknown): ServerMessage | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { type, state, mode, pem, beside } = value as Record<string, unknown>;
  if (type === "authorities") return typeof pem === "string" ? { type, pem } : undefined;
  if (type !== "want" || (state !== "Online" && state !== "Standby")) return undefined;
  return {
    type,
    state,
    ...(standbyModes.includes(mode as StandbyMode) && { mode: mode as StandbyMode }),
    ...(Array.isArray(beside) && { beside: beside.filter((id) => typeof id === "string" && isContainerId(id)) }),
  };
}

/** Long enough to be no part of another's name. */
function isContainerId(text: string): boolean {
  return /^[0-9A-Za-z_-]{12,}$/.test(text);
}
