import { isOwnedBy } from "../../api/owner-reference.ts";
import type { Applier } from "../../kube/client/apply.ts";
import type { KubeClient } from "../../kube/client/client.ts";
import { type KubeObject, keyOf, type Resource, resourceOf, resources } from "../../kube/client/resource.ts";
import type { IhpaInput } from "./ihpa-input.ts";
import type { Plan } from "./plan-ihpa.ts";

/** Applies and deletes the objects that IHPAs own: HPAs, ReplicaProfiles and portraits. */
export class OwnedObjects {
  readonly #client: Pick<KubeClient, "remove">;
  readonly #applier: Pick<Applier, "apply" | "forget">;

  constructor({ client, applier }: { client: Pick<KubeClient, "remove">; applier: Pick<Applier, "apply" | "forget"> }) {
    this.#client = client;
    this.#applier = applier;
  }

  /** Makes what exists as the plan wants it; what is `Keep` is left alone. */
  async carryOut({ ihpa, hpas, profile, portraits }: IhpaInput, plan: Plan): Promise<void> {
    const own = <T extends KubeObject>(objects: readonly T[]) =>
      objects.filter((object) => isOwnedBy(object.metadata, ihpa));
    const wanted = (object: KubeObject | undefined) => (object ? [object] : []);
    if (plan.hpa !== "Keep") await this.#ensure(resources.horizontalPodAutoscalers, wanted(plan.hpa), own(hpas));
    if (plan.profile !== "Keep")
      await this.#ensure(resourceOf("ReplicaProfile"), wanted(plan.profile), own(profile ? [profile] : []));
    if (plan.portraits !== "Keep") await this.#ensure(resourceOf("HorizontalPortrait"), plan.portraits, own(portraits));
  }

  /** Applies what is wanted, and deletes those of `own` that are not. */
  async #ensure(resource: Resource, wanted: readonly KubeObject[], own: readonly KubeObject[]): Promise<void> {
    const byName = new Map(own.map((object) => [object.metadata.name, object]));
    for (const object of wanted) {
      await this.#apply(resource, object, byName.get(object.metadata.name));
      byName.delete(object.metadata.name);
    }
    for (const object of byName.values()) await this.#remove(resource, object);
  }

  #apply(resource: Resource, wanted: KubeObject, cached: KubeObject | undefined) {
    // All of it is ours: an object that we own.
    return this.#applier.apply(resource, wanted, { cached, force: true });
  }

  async #remove(resource: Resource, object: KubeObject): Promise<void> {
    const { uid } = object.metadata;
    await this.#client.remove(resource, keyOf(object), { preconditions: { uid } });
    this.#applier.forget(resource, keyOf(object));
  }
}
