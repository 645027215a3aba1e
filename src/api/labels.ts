/** Prefix of every label and annotation of ours. */
export const prefix = "forescale.io";

/** Label key in an external metric's selector, and on what an IHPA owns: the IHPA's name. */
export const ihpaLabel = `${prefix}/ihpa`;

/** Label key in the selector of `forescale-load`: `spec.metrics[].name`. */
export const metricLabel = `${prefix}/metric`;

/** Label on a child portrait: its portrait type. */
export const portraitTypeLabel = `${prefix}/portrait-type`;

/** The pod condition and readiness gate that takes a pod in and out of rotation. */
export const onlineGate = `${prefix}/online`;

/** Label on a pod: its state, absent when Online. */
export const podStateLabel = `${prefix}/pod-state`;

/** Condition on a pod: whether its application is frozen with its memory given back; says why where it is not. */
export const standbyCondition = `${prefix}/standby`;

/** Label on a pod that asks the webhook for what pod states need: `gate`, or `standby` for the gate and the sidecar. */
export const injectLabel = `${prefix}/inject`;

/** Annotation on a pod: why it did not get what its label asks for, as the webhook's warning said when the pod was created. */
export const notInjectedAnnotation = `${prefix}/not-injected`;

/** Annotation on a pod: the mode of Standby that is wanted first. */
export const standbyModeAnnotation = `${prefix}/standby-mode`;

/** Annotation on a pod that is never to be frozen, whatever is wanted: `"true"`. */
export const noStandbyAnnotation = `${prefix}/no-standby`;

/** Annotation on a pod whose requests were lowered: what they were, to be asked for again before it wakes. */
export const requestsAnnotation = `${prefix}/requests`;

/** Annotation on a pod that an external program took out of rotation: that program's name, which is to take it in again. */
export const trafficAnnotation = `${prefix}/traffic-controller`;

/** The ReplicaSet controller's annotation: among pods alike in phase and readiness, the cheapest goes first. */
export const deletionCostAnnotation = "controller.kubernetes.io/pod-deletion-cost";

/** External metrics that the server answers. */
export const replicasMetric = "forescale-replicas";
export const loadMetric = "forescale-load";

/** Where our own programs run. */
export const systemNamespace = "forescale-system";

/** The Lease in that namespace of the controller that decides and sets the gates. */
export const controllerLease = "forescale-controller";

/** Field managers of server-side apply. */
export const controllerManager = "forescale-controller";
export const serverManager = "forescale-server";

/** Name of the HPA that a Managed IHPA owns. */
export function managedHpaName(ihpa: string): string {
  return `forescale-${ihpa}`;
}

/** Name of the portrait of one dynamic provider. */
export function portraitName(ihpa: string, portraitType: "Predictive" | "Reactive" | "Burst"): string {
  return `${ihpa}-${portraitType.toLowerCase()}`;
}
