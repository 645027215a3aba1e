import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Applier, project, termAnnotation } from "../../../../src/kube/client/apply.ts";
import { KubeClient } from "../../../../src/kube/client/client.ts";
import { KubeError } from "../../../../src/kube/client/kube-error.ts";
import { type KubeObject, resourceOf } from "../../../../src/kube/client/resource.ts";
import { answer, FakeApiServer, type Stored, status } from "../fake-api-server.ts";

const base = "/apis/autoscaling.forescale.io/v1alpha1/namespaces/shop/horizontalportraits";
const portraits = resourceOf("HorizontalPortrait");

interface Portrait extends KubeObject {
  readonly spec?: { readonly quantity?: string; readonly horizon?: number };
  readonly status?: { readonly conditions?: readonly { type: string; status: string }[]; readonly replicas?: number };
}

let server: FakeApiServer;
let applier: Applier;

beforeEach(async () => {
  server = await new FakeApiServer().start();
  applier = new Applier({ client: new KubeClient(server.connection()), fieldManager: "forescale-controller" });
});
afterEach(async () => server.kill());

const wanted = (horizon = 1): Portrait => ({
  metadata: { name: "web", namespace: "shop", labels: { a: "b" } },
  spec: { quantity: "1000m", horizon },
});
const held = () => server.objects.get(`${base}/web`) as unknown as Portrait;
const patches = () => server.requests("PATCH");

test("an apply is server-side, under the field manager, and without force unless asked", async () => {
  await applier.apply(portraits, wanted());
  await applier.apply(portraits, wanted(2), { force: true });
  const [first, second] = patches();
  expect(first.headers["content-type"]).toBe("application/apply-patch+yaml");
  expect(first.query.get("fieldManager")).toBe("forescale-controller");
  expect(first.query.get("force")).toBeNull();
  expect(first.body).toMatchObject({ apiVersion: "autoscaling.forescale.io/v1alpha1", kind: "HorizontalPortrait" });
  expect(second.query.get("force")).toBe("true");
});

describe("what is applied again is", () => {
  test("skipped when the cache shows the fields as the server answered them", async () => {
    await applier.apply(portraits, wanted());
    expect(await applier.apply(portraits, wanted(), { cached: held() })).toMatchObject({ outcome: "Skipped" });
    expect(patches()).toHaveLength(1);
  });

  test("skipped when the server had normalised a value", async () => {
    server.intercept = ({ method, body }, response) => {
      if (method !== "PATCH") return false;
      const object = body as Stored & { spec: object };
      answer(response, 200, server.put(base, { ...object, spec: { ...object.spec, quantity: "1", defaulted: true } }));
      return true;
    };
    await applier.apply(portraits, wanted());
    expect((await applier.apply(portraits, wanted(), { cached: held() })).outcome).toBe("Skipped");
  });

  test("skipped when others changed other fields, or added their conditions", async () => {
    const ours = { ...wanted(), status: { conditions: [{ type: "Ready", status: "True" }] } };
    await applier.applyStatus(portraits, ours);
    const withTheirs = {
      ...held(),
      status: { conditions: [{ type: "Theirs", status: "True" }, ...ours.status.conditions], replicas: 3 },
    };
    expect((await applier.applyStatus(portraits, ours, { cached: withTheirs })).outcome).toBe("Skipped");
  });

  test.each([
    { name: "the wish changed", next: () => wanted(2), cached: () => held() },
    {
      name: "a field is left out that was there",
      next: () => ({ ...wanted(), spec: { quantity: "1000m" } }),
      cached: () => held(),
    },
    {
      name: "someone changed a field of ours",
      next: () => wanted(),
      cached: () => ({ ...held(), spec: { ...held().spec, horizon: 99 } }),
    },
    {
      name: "someone removed a label of ours",
      next: () => wanted(),
      cached: () => ({ ...held(), metadata: { ...held().metadata, labels: {} } }),
    },
    {
      name: "the object was made anew",
      next: () => wanted(),
      cached: () => ({ ...held(), metadata: { ...held().metadata, uid: "another" } }),
    },
    { name: "nothing is known of the object now", next: () => wanted(), cached: () => undefined },
  ])("sent when $name", async ({ next, cached }) => {
    await applier.apply(portraits, wanted());
    await applier.apply<Portrait>(portraits, next(), { cached: cached() });
    expect(patches()).toHaveLength(2);
  });

  test("sent after the object was forgotten, or its last apply failed", async () => {
    await applier.apply(portraits, wanted());
    applier.forget(portraits, { namespace: "shop", name: "web" });
    expect((await applier.apply(portraits, wanted(), { cached: held() })).outcome).toBe("Unchanged");
    server.intercept = (_, response) => {
      status(response, 500, "InternalError", "etcd is away");
      return true;
    };
    await expect(applier.apply(portraits, wanted(3), { cached: held() })).rejects.toThrow(KubeError);
    server.intercept = () => false;
    await applier.apply(portraits, wanted(), { cached: held() });
    expect(patches()).toHaveLength(4);
  });
});

test("a status is applied through its subresource and carries nothing else", async () => {
  await applier.applyStatus(portraits, { ...wanted(), status: { replicas: 3 } });
  const [{ path, body }] = patches();
  expect(path).toBe(`${base}/web/status`);
  expect(body).toEqual({
    apiVersion: "autoscaling.forescale.io/v1alpha1",
    kind: "HorizontalPortrait",
    metadata: { name: "web", namespace: "shop" },
    status: { replicas: 3 },
  });
});

test("a conflict names the fields, their owners and the way out", async () => {
  server.intercept = (_, response) => {
    const causes = [
      { reason: "FieldManagerConflict", message: 'conflict with "kubectl" using v1', field: ".spec.horizon" },
    ];
    status(response, 409, "Conflict", "Apply failed with 1 conflict", {}, { causes });
    return true;
  };
  const error = await applier.apply(portraits, wanted()).catch((error) => error);
  expect(error).toMatchObject({ code: "Conflict", object: "horizontalportraits.autoscaling.forescale.io shop/web" });
  expect(error.message).toContain('another writer owns .spec.horizon (conflict with "kubectl" using v1)');
  expect(error.message).toContain("forescale-controller");
});

describe("under a fence", () => {
  test("objects carry the leader's term, and a new term alone is no reason to write", async () => {
    let term = 4;
    const client = new KubeClient(server.connection());
    const fenced = new Applier({ client, fieldManager: "forescale-controller", fence: { check: () => term } });
    await fenced.apply(portraits, wanted());
    expect(held().metadata.annotations).toEqual({ [termAnnotation]: "4" });
    term = 5;
    expect((await fenced.apply(portraits, wanted(), { cached: held() })).outcome).toBe("Skipped");
  });

  test("nothing is sent once the Lease is not held", async () => {
    const check = () => {
      throw new KubeError("NotLeader", "the Lease is not held any more");
    };
    const client = new KubeClient(server.connection());
    const fenced = new Applier({ client, fieldManager: "forescale-controller", fence: { check } });
    await expect(fenced.apply(portraits, wanted())).rejects.toMatchObject({ code: "NotLeader" });
    expect(server.seen).toHaveLength(0);
  });
});

test.each([
  { name: "fields that are not in the shape are left out", value: { a: 1, b: 2 }, shape: { a: 0 }, part: { a: 1 } },
  { name: "missing fields are missing", value: {}, shape: { a: { b: 1 } }, part: { a: undefined } },
  { name: "lists of one length go item by item", value: [{ a: 1, b: 2 }], shape: [{ a: 0 }], part: [{ a: 1 }] },
  {
    name: "a list of another length is taken whole",
    value: [{ a: 1, b: 2 }, 3],
    shape: [{ a: 0 }],
    part: [{ a: 1, b: 2 }, 3],
  },
  { name: "null where an object was wanted is null", value: null, shape: { a: 1 }, part: null },
  { name: "an undefined wish is no wish", value: { a: 1 }, shape: { a: undefined }, part: {} },
])("projection: $name", ({ value, shape, part }) => {
  expect(project(value, shape)).toEqual(part);
});
