import { afterEach, beforeEach, expect, test } from "vitest";
import { KubeClient } from "../../../../src/kube/client/client.ts";
import { Scales } from "../../../../src/kube/client/scale.ts";
import { answer, FakeApiServer, status } from "../fake-api-server.ts";
import { FakeClock } from "../fake-clock.ts";

const web = { apiVersion: "apps/v1", kind: "Deployment", namespace: "shop", name: "web" };
const scalePath = "/apis/apps/v1/namespaces/shop/deployments/web/scale";

let server: FakeApiServer;
let clock: FakeClock;
let scales: Scales;
let kinds: { name: string; kind: string; namespaced: boolean }[];
let scale: Record<string, unknown> | undefined;

beforeEach(async () => {
  server = await new FakeApiServer().start();
  clock = new FakeClock();
  scales = new Scales(new KubeClient(server.connection(), { clock }), clock);
  kinds = [
    { name: "deployments", kind: "Deployment", namespaced: true },
    { name: "deployments/scale", kind: "Scale", namespaced: true },
    { name: "controllerrevisions", kind: "ControllerRevision", namespaced: true },
  ];
  scale = {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: { name: "web", namespace: "shop", uid: "u", resourceVersion: "7" },
    spec: { replicas: 3 },
    status: { replicas: 2, selector: "app=web" },
  };
  server.intercept = ({ path, method, body }, response) => {
    if (path === "/apis/apps/v1") answer(response, 200, { kind: "APIResourceList", resources: kinds });
    else if (path === scalePath && scale) {
      if (method === "PATCH") scale = { ...scale, spec: (body as { spec: object }).spec };
      answer(response, 200, scale);
    } else status(response, 404, "NotFound", `${path} not found`);
    return true;
  };
});
afterEach(async () => server.kill());

const discoveries = () => server.requests("GET", ({ path }) => path === "/apis/apps/v1").length;

test("reads what is wanted and what was counted, by discovery of the kind, asked once", async () => {
  const read = { replicas: 3, statusReplicas: 2, selector: "app=web", resourceVersion: "7", uid: "u" };
  expect(await scales.read(web)).toEqual(read);
  expect(await scales.read(web)).toEqual(read);
  expect(discoveries()).toBe(1);
});

test("replicas left out mean 0", async () => {
  scale = { ...scale, spec: {}, status: {} };
  expect(await scales.read(web)).toMatchObject({ replicas: 0, statusReplicas: 0, selector: "" });
});

test("an answer without spec is an error, not 0 replicas", async () => {
  scale = { metadata: { name: "web", uid: "u", resourceVersion: "7" } };
  await expect(scales.read(web)).rejects.toMatchObject({ code: "BadAnswer" });
});

test("writes spec.replicas only, on the resourceVersion that the decision saw", async () => {
  expect((await scales.write(web, 5, { resourceVersion: "7" })).replicas).toBe(5);
  const [{ body, headers }] = server.requests("PATCH");
  expect(body).toEqual({ metadata: { resourceVersion: "7" }, spec: { replicas: 5 } });
  expect(headers["content-type"]).toBe("application/merge-patch+json");
});

test.each([-1, 1.5, Number.NaN, 2 ** 31])("%d replicas are refused before anything is sent", async (replicas) => {
  await expect(scales.write(web, replicas)).rejects.toThrow(RangeError);
  expect(server.seen).toHaveLength(0);
});

test("a kind without the subresource is NotScalable, with advice", async () => {
  const error = await scales.read({ ...web, kind: "ControllerRevision" }).catch((error) => error);
  expect(error).toMatchObject({ code: "NotScalable" });
  expect(error.message).toContain("ControllerRevision shop/web: ControllerRevision has no scale subresource");
});

test("a kind that is not there is looked for again after 10 s, and then found", async () => {
  const target = { ...web, kind: "Rollout" };
  await expect(scales.read(target)).rejects.toMatchObject({ code: "NotFound" });
  await expect(scales.read(target)).rejects.toMatchObject({ code: "NotFound" });
  expect(discoveries()).toBe(1);
  kinds.push({ name: "deployments", kind: "Rollout", namespaced: true });
  kinds.push({ name: "deployments/scale", kind: "Scale", namespaced: true });
  await clock.advance(10_000);
  expect((await scales.read(target)).replicas).toBe(3);
});

test("a group that is not there says how to get it", async () => {
  const target = { ...web, apiVersion: "argoproj.io/v1alpha1", kind: "Rollout" };
  await expect(scales.read(target)).rejects.toThrow(
    "the cluster has no kind Rollout in argoproj.io/v1alpha1; check the spelling, or install its CustomResourceDefinition",
  );
});

test.each(["../v1", "apps/v1/../../", "a/b/c", ""])("the apiVersion %j never becomes a path", async (apiVersion) => {
  await expect(scales.read({ ...web, apiVersion })).rejects.toMatchObject({ code: "NotFound" });
  expect(server.seen).toHaveLength(0);
});

test("after a 404 the mapping is asked for anew, at most every 10 s", async () => {
  await scales.read(web);
  scale = undefined;
  for (let i = 0; i < 3; i++) await expect(scales.read(web)).rejects.toMatchObject({ code: "NotFound" });
  expect(discoveries()).toBe(1);
  await clock.advance(10_000);
  for (let i = 0; i < 3; i++) await expect(scales.read(web)).rejects.toMatchObject({ code: "NotFound" });
  expect(discoveries()).toBe(2);
});

test("a failed discovery is not remembered", async () => {
  const usual = server.intercept;
  server.intercept = (_, response) => {
    status(response, 500, "InternalError", "etcd is away");
    return true;
  };
  await expect(scales.read(web)).rejects.toMatchObject({ code: "ServerError" });
  server.intercept = usual;
  expect((await scales.read(web)).replicas).toBe(3);
});
