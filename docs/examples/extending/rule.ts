import { podsText, type Rule } from "../../../src/decide/rules/rule.ts";

/** A rise may at most double the pods: for workloads whose database can't take more at once. */
export const atMostDouble = {
  name: "AtMostDouble",
  apply({ present }, { replicas }) {
    const most = Math.max(1, 2 * present);
    const saw = `${podsText(present)} in service, so at most ${most}`;
    return replicas === null || replicas <= most
      ? { saw }
      : { saw, change: { replicas: most, reason: "ScaleUpStabilized" } };
  },
} satisfies Omit<Rule, "name"> & { readonly name: string };
