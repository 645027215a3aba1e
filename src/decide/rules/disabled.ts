import type { Rule } from "./rule.ts";

/** behavior.scaleUp.disabled: never more than there are. */
export const scaleUpDisabled: Rule = {
  name: "ScaleUpDisabled",
  apply({ behavior, present }, { replicas }) {
    if (!behavior?.scaleUp?.disabled) return { saw: "behavior.scaleUp is enabled" };
    const saw = `behavior.scaleUp is disabled, and there are ${present}`;
    return replicas !== null && replicas > present
      ? { saw, change: { replicas: present, reason: "ScaleUpDisabled" } }
      : { saw };
  },
};

/** behavior.scaleDown.disabled: never fewer than there are. */
export const scaleDownDisabled: Rule = {
  name: "ScaleDownDisabled",
  apply({ behavior, present }, { replicas }) {
    if (!behavior?.scaleDown?.disabled) return { saw: "behavior.scaleDown is enabled" };
    const saw = `behavior.scaleDown is disabled, and there are ${present}`;
    return replicas !== null && replicas < present
      ? { saw, change: { replicas: present, reason: "ScaleDownDisabled" } }
      : { saw };
  },
};
