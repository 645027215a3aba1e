/** Why an application is not frozen, or not in the way asked for. The same word stands in the report and the condition. */
export type RefusalReason =
  /** The pod has no shared process namespace, so there is no application to freeze. */
  | "NotShared"
  /** The namespace shows processes of other pods. */
  | "NotThePods"
  | "NoApplication"
  /** More processes than one image holds. */
  | "TooManyProcesses"
  /** A debugger or another tracer is attached. */
  | "Traced"
  /** Somebody else stopped the application. */
  | "Stopped"
  /** The application belongs to another user, and a signal is not permitted. */
  | "SignalDenied"
  | "PidfdDenied"
  /** Tracing is not permitted: another user, more capabilities, Yama, seccomp, or not dumpable. */
  | "PtraceDenied"
  | "MemoryDenied"
  | "Injection"
  /** Requests are still under way, or no thread waits. */
  | "Busy"
  | "NotStopping"
  | "NoVdso"
  | "NoCipher"
  | "NoDiagnosis"
  /** Less anonymous memory than is worth the trouble. */
  | "SmallMemory"
  /** Too much memory that cannot be given back: locked, huge, shared. */
  | "UnmovableMemory"
  | "DeviceMemory"
  | "Userfaultfd"
  | "AsyncIo"
  | "DiskFull"
  | "NoSwap"
  | "SwapFull"
  | "Incompressible"
  | "PageOutDenied"
  | "PageOutFailed"
  /** The pod's own annotation or probes forbid it. */
  | "Declined";

/** What else can go wrong between the sidecar and its helper. */
export type FaultReason =
  | "HelperDied"
  | "HelperFailed"
  /** The journal, the image or /proc failed in a way that no other word tells. */
  | "FileFailed"
  | "Protocol"
  | "Gone"
  | "KeyLost"
  | "ImageLost"
  | "ImageDamaged"
  | "ImageFailed"
  | "MemoryChanged"
  | "Touched"
  | "Cancelled"
  | "JournalDamaged"
  | "Interrupted"
  | "NotAnswering";

/** A refusal or a fault, with the word that reports carry. */
export class SidecarError extends Error {
  readonly code: RefusalReason | FaultReason;

  constructor(code: RefusalReason | FaultReason, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "SidecarError";
    this.code = code;
  }
}

/** The faults after which another mode is no remedy. */
const faults: ReadonlySet<string> = new Set<FaultReason>([
  "HelperDied",
  "HelperFailed",
  "FileFailed",
  "Protocol",
  "Gone",
  "KeyLost",
  "ImageLost",
  "ImageDamaged",
  "MemoryChanged",
  "Touched",
  "Cancelled",
  "JournalDamaged",
  "Interrupted",
  "NotAnswering",
]);

/** Any error as one of ours: a full disk is a refusal, other failures of files and calls are faults. */
export function faultOf(error: unknown): SidecarError {
  if (error instanceof SidecarError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const isFull = code === "ENOSPC" || code === "EDQUOT";
  return new SidecarError(isFull ? "DiskFull" : "FileFailed", message, { cause: error });
}

/** True when the error says that this mode is not possible here; the next one may be. */
export function isRefusal(error: unknown): error is SidecarError {
  return error instanceof SidecarError && !faults.has(error.code);
}
