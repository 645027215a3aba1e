import type { LiveDemand } from "../../../src/decide/metric/metric-demand.ts";

/** A metric whose source answers: 6.5 pods observed, 8 for what is expected over the lead. */
export const liveDemand: LiveDemand = {
  kind: "Live",
  observed: 6.5,
  wanted: 8,
  method: "Learned",
  usesForecast: true,
  isCut: false,
  isCoarse: false,
  verdict: {
    isTrusted: true,
    reason: "AsExpected",
    message: "",
    error: 0,
    relativeError: 0,
    coverage: 1,
    samples: 0,
    isCompared: false,
    hasDrifted: false,
  },
  burst: undefined,
  silentMs: 0,
};
