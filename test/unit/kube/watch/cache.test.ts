import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatKey, type KubeObject, keyOf } from "../../../../src/kube/client/resource.ts";
import { Cache } from "../../../../src/kube/watch/cache.ts";

interface Pod extends KubeObject {
  readonly owner: string;
}

const pod = (name: string, owner: string, version: number, namespace = "shop", uid = name): Pod => ({
  metadata: { name, namespace, uid, resourceVersion: String(version) },
  owner,
});

const indexes = { byOwner: (each: Pod) => (each.owner === "" ? [] : [`${each.metadata.namespace}/${each.owner}`]) };

const anyPod = fc.record({
  name: fc.constantFrom("a", "b", "c", "d", "e"),
  namespace: fc.constantFrom("x", "y"),
  owner: fc.constantFrom("", "m", "n"),
  uid: fc.constantFrom("1", "2"),
  version: fc.integer({ min: 1, max: 5 }),
});

test("whatever is set, deleted and replaced, list, get and indexes agree with a plain map", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constantFrom("set" as const, "delete" as const), pod: anyPod }),
    fc.record({ do: fc.constant("replace" as const), pods: fc.array(anyPod, { maxLength: 6 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const cache = new Cache<Pod>({ indexes, freeze: true });
      const model = new Map<string, Pod>();
      // Listeners that follow the changes must end up with the same objects.
      const followed = new Map<string, Pod>();
      for (const each of steps) {
        const made = (p: typeof anyPod extends fc.Arbitrary<infer T> ? T : never) =>
          pod(p.name, p.owner, p.version, p.namespace, p.uid);
        let changes: ReturnType<typeof cache.set>;
        if (each.do === "replace") {
          // A server's list names each object once, and one version of one object has one content.
          const list = new Map<string, Pod>();
          for (const p of each.pods) {
            const object = made(p);
            const held = model.get(formatKey(keyOf(object)));
            const same = held && held.metadata.uid === p.uid && held.metadata.resourceVersion === String(p.version);
            list.set(formatKey(keyOf(object)), same ? held : object);
          }
          model.clear();
          for (const [key, object] of list) model.set(key, object);
          changes = cache.replace(list.values());
        } else {
          const object = made(each.pod);
          if (each.do === "set") model.set(formatKey(keyOf(object)), object);
          else model.delete(formatKey(keyOf(object)));
          changes = each.do === "set" ? cache.set(object) : cache.delete(object);
        }
        for (const change of changes) {
          const key = formatKey(keyOf(change.object));
          if (change.type === "Deleted") expect(followed.delete(key), `${key} was there`).toBe(true);
          else {
            expect(followed.has(key)).toBe(change.type === "Updated");
            followed.set(key, change.object);
          }
        }
        const sorted = (pods: Iterable<Pod>) => [...pods].map((p) => JSON.stringify(p)).toSorted();
        expect(sorted(cache.list())).toEqual(sorted(model.values()));
        expect(sorted(followed.values())).toEqual(sorted(model.values()));
        for (const namespace of ["x", "y"]) {
          const inIt = [...model.values()].filter((p) => p.metadata.namespace === namespace);
          expect(sorted(cache.list(namespace))).toEqual(sorted(inIt));
          for (const owner of ["m", "n"])
            expect(sorted(cache.byIndex("byOwner", `${namespace}/${owner}`))).toEqual(
              sorted(inIt.filter((p) => p.owner === owner)),
            );
        }
      }
    }),
  );
});

describe("a list that replaces the cache", () => {
  test.each([
    { name: "the same version is no change", list: [pod("a", "m", 1)], changes: [] },
    { name: "a newer version is an update", list: [pod("a", "m", 2)], changes: ["Updated a"] },
    {
      name: "another uid is a deletion and an addition",
      list: [pod("a", "m", 2, "shop", "new")],
      changes: ["Deleted a", "Added a"],
    },
    { name: "a missing object is a deletion", list: [], changes: ["Deleted a"] },
    { name: "a new object is an addition", list: [pod("a", "m", 1), pod("b", "m", 1)], changes: ["Added b"] },
  ])("$name", ({ list, changes }) => {
    const cache = new Cache<Pod>();
    cache.set(pod("a", "m", 1));
    expect(cache.replace(list).map(({ type, object }) => `${type} ${object.metadata.name}`)).toEqual(changes);
  });
});

test("an index that was not declared is the caller's mistake", () => {
  expect(() => new Cache<Pod>({ indexes }).byIndex("byNode", "n")).toThrow(RangeError);
});

test("an index function that throws leaves the object findable by name, and says so", () => {
  const faults: unknown[] = [];
  const cache = new Cache<Pod>({
    indexes: {
      bad: () => {
        throw new Error("no");
      },
    },
    onFault: (_, error) => faults.push(error),
  });
  cache.set(pod("a", "m", 1));
  expect(cache.get({ namespace: "shop", name: "a" })).toBeDefined();
  expect(faults).toHaveLength(1);
});
