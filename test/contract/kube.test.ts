import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { Applier } from "../../src/kube/client/apply.ts";
import { connect, KubeClient } from "../../src/kube/client/client.ts";
import { type KubeObject, resources } from "../../src/kube/client/resource.ts";
import { Scales } from "../../src/kube/client/scale.ts";
import { EventRecorder } from "../../src/kube/loop/events.ts";
import { acquireLeadership } from "../../src/kube/loop/leader-election.ts";
import { Reflector, type ReflectorOptions } from "../../src/kube/watch/reflector.ts";
import { type Cluster, type ControlPlane, startCluster, startControlPlane } from "../cluster/control-plane.ts";
import { describeCluster, describeControlPlane } from "../cluster/suite.ts";
import { FakeClock } from "../unit/kube/fake-clock.ts";

interface ConfigMap extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}
interface Deployment extends KubeObject {
  readonly spec: object;
}

const namespace = "forescale-kube-test";
const options = (kubeconfig: string) => ({ kubeconfig, env: {}, qps: 500, burst: 500 });
const configMap = (name: string, data: Record<string, string> = {}): ConfigMap => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace },
  data,
});

/** Starts a reflector on the namespace's ConfigMaps and notes what it hears. */
async function reflect(client: KubeClient, signal: AbortSignal, more: Partial<ReflectorOptions<ConfigMap>> = {}) {
  const reflector = new Reflector<ConfigMap>({
    client,
    resource: resources.configMaps,
    namespace,
    fieldSelector: "metadata.name!=kube-root-ca.crt",
    freeze: true,
    ...more,
  });
  const heard: string[] = [];
  reflector.onChange(({ type, object }) => heard.push(`${type} ${object.metadata.name}`));
  void reflector.start(signal);
  await reflector.waitForSync(signal);
  return { reflector, heard };
}

describeCluster("kube on a real API server", () => {
  let cluster: Cluster;
  let client: KubeClient;
  let stop: AbortController;

  beforeAll(async () => {
    cluster = await startCluster();
    client = await connect(options(cluster.kubeconfig));
    await cluster.kubectl(["create", "namespace", namespace]);
  }, 900_000);
  afterAll(async () => {
    await cluster?.kubectl(["delete", "namespace", namespace, "--wait=false"]).catch(() => {});
    await cluster?.stop();
  });
  beforeEach(() => {
    stop = new AbortController();
  });
  afterEach(() => stop.abort(new Error("the test is over")));

  it("a cache follows what kubectl does, within a second", async () => {
    const { heard, reflector } = await reflect(client, stop.signal);
    await cluster.kubectl(["create", "configmap", "seen", "-n", namespace, "--from-literal=a=1"]);
    await expect.poll(() => heard, { timeout: 1_000 }).toEqual(["Added seen"]);
    await cluster.kubectl(["delete", "configmap", "seen", "-n", namespace]);
    await expect.poll(() => heard, { timeout: 1_000 }).toEqual(["Added seen", "Deleted seen"]);
    expect(reflector.cache.size).toBe(0);
  });

  it("a long list comes by pages, with its kinds, and equals what the server has", async () => {
    const names = Array.from({ length: 1_203 }, (_, i) => `page-${i}`);
    for (let i = 0; i < names.length; i += 50)
      await Promise.all(names.slice(i, i + 50).map((name) => client.create(resources.configMaps, configMap(name))));
    const sizes: number[] = [];
    for await (const { items } of client.pages(resources.configMaps, { namespace })) sizes.push(items.length);
    expect(sizes.slice(0, 2)).toEqual([500, 500]);
    const { reflector } = await reflect(client, stop.signal);
    const listed = reflector.cache.list();
    expect(listed.map(({ metadata }) => metadata.name).toSorted()).toEqual(names.toSorted());
    expect(new Set(listed.map(({ kind }) => kind))).toEqual(new Set(["ConfigMap"]));
    await cluster.kubectl(["delete", "configmaps", "--all", "-n", namespace, "--wait=false"]);
    await expect.poll(() => reflector.cache.size, { timeout: 20_000 }).toBe(0);
  });

  it("a metadata-only cache holds no data, from list and watch, and keeps the kind", async () => {
    await client.create(resources.configMaps, configMap("listed", { big: "x".repeat(1000) }));
    const { reflector } = await reflect(client, stop.signal, { metadataOnly: true });
    await client.create(resources.configMaps, configMap("watched", { big: "x".repeat(1000) }));
    await expect.poll(() => reflector.cache.size).toBe(2);
    for (const object of reflector.cache.list()) {
      expect(object).toMatchObject({ apiVersion: "v1", kind: "ConfigMap" });
      expect(object.data).toBeUndefined();
    }
    for (const name of ["listed", "watched"]) await client.remove(resources.configMaps, { namespace, name });
  });

  it("an apply that changes nothing stores nothing, and with the cache is not even sent", async () => {
    const wanted: Deployment = {
      metadata: { name: "web", namespace },
      spec: {
        replicas: 0,
        selector: { matchLabels: { app: "web" } },
        template: {
          metadata: { labels: { app: "web" } },
          spec: { containers: [{ name: "main", image: "x", resources: { requests: { cpu: "1000m" } } }] },
        },
      },
    };
    const apply = () => new Applier({ client, fieldManager: "forescale-controller" });
    const applier = apply();
    await applier.apply(resources.deployments, wanted);
    const key = { namespace, name: "web" };
    // The deployment controller writes its status first, until it has seen the newest generation.
    await cluster.kubectl(["rollout", "status", "deployment/web", "-n", namespace]);
    const cached = await client.get<Deployment>(resources.deployments, key);
    expect(JSON.stringify(cached.spec)).toContain('"cpu":"1"'); // normalised
    const version = cached.metadata.resourceVersion;

    const again = await apply().apply(resources.deployments, wanted, { cached }); // as after a restart
    expect(again).toMatchObject({ outcome: "Unchanged", object: { metadata: { resourceVersion: version } } });
    expect((await applier.apply(resources.deployments, wanted, { cached })).outcome).toBe("Skipped");
    expect((await client.get(resources.deployments, key)).metadata.resourceVersion).toBe(version);
  });

  it("an apply of another's field is a conflict that names field and owner; force takes it", async () => {
    await cluster.kubectl(
      ["apply", "--server-side", "--field-manager=somebody", "-f", "-"],
      configMap("shared", { theirs: "1" }),
    );
    const applier = new Applier({ client, fieldManager: "forescale-controller" });
    const wanted = configMap("shared", { theirs: "2", ours: "3" });
    const error = await applier.apply(resources.configMaps, wanted).catch((error) => error);
    expect(error).toMatchObject({ code: "Conflict", status: 409 });
    expect(error.message).toContain(`apply configmaps ${namespace}/shared: another writer owns .data.theirs`);
    expect(error.message).toContain("somebody");
    await applier.apply(resources.configMaps, configMap("shared", { ours: "3" }));
    expect((await client.get<ConfigMap>(resources.configMaps, wanted.metadata as never)).data).toEqual({
      theirs: "1",
      ours: "3",
    });
    await applier.apply(resources.configMaps, wanted, { force: true });
    // What is not wanted any more goes; the rest stays.
    await applier.apply(resources.configMaps, configMap("shared", { theirs: "2" }));
    expect((await client.get<ConfigMap>(resources.configMaps, wanted.metadata as never)).data).toEqual({ theirs: "2" });
    await client.remove(resources.configMaps, { namespace, name: "shared" });
  });

  it("a status is applied through its subresource and leaves spec alone", async () => {
    const applier = new Applier({ client, fieldManager: "forescale-controller" });
    const wanted = {
      metadata: { name: "web", namespace },
      spec: { replicas: 7 },
      status: { conditions: [{ type: "Forecast", status: "True", reason: "Test", message: "" }] },
    };
    await applier.applyStatus(resources.deployments, wanted);
    const seen = await client.get<typeof wanted & KubeObject>(resources.deployments, { namespace, name: "web" });
    expect(seen.spec.replicas).toBe(0);
    expect(seen.status.conditions.map(({ type }) => type)).toContain("Forecast");
  });

  it("scale is read and written for a Deployment, and a write on an old version is refused", async () => {
    const scales = new Scales(client);
    const target = { apiVersion: "apps/v1", kind: "Deployment", namespace, name: "web" };
    const before = await scales.read(target);
    expect(before).toMatchObject({ replicas: 0, selector: "app=web" });
    expect((await scales.write(target, 2, { resourceVersion: before.resourceVersion })).replicas).toBe(2);
    const query = ["get", "deployment/web", "-n", namespace, "-o", "jsonpath={.spec.replicas}"];
    expect(await cluster.kubectl(query)).toBe("2");
    await expect(scales.write(target, 3, { resourceVersion: before.resourceVersion })).rejects.toMatchObject({
      code: "Conflict",
    });
    await expect(scales.read({ ...target, kind: "ControllerRevision" })).rejects.toMatchObject({ code: "NotScalable" });
    await expect(scales.read({ ...target, name: "none" })).rejects.toMatchObject({ code: "NotFound" });
    await expect(scales.read({ ...target, kind: "Rollout" })).rejects.toMatchObject({ code: "NotFound" });
  });

  it("kubectl shows our Events, counted, with the object they are about", async () => {
    const recorder = new EventRecorder({ client, controller: "forescale.io/controller", instance: "test" });
    const regarding = await client.get(resources.deployments, { namespace, name: "web" });
    for (let i = 0; i < 3; i++)
      recorder.record({ regarding, type: "Warning", reason: "Held", action: "Hold", note: "Prometheus is silent" });
    await recorder.flush();
    const described = await cluster.kubectl(["describe", "deployment/web", "-n", namespace]);
    expect(described).toMatch(/Warning\s+Held\s+.*\(x3 over .*forescale\.io\/controller.*\s+Prometheus is silent/);
  });

  it("a Lease passes from a candidate that dies to one that waits, and back at a release", async () => {
    const election = (identity: string, clock?: FakeClock) =>
      acquireLeadership(
        {
          client,
          lease: { namespace, name: "controller" },
          identity,
          leaseMs: 3_000,
          renewDeadlineMs: 2_000,
          retryMs: 500,
          ...(clock && { clock }),
        },
        stop.signal,
      );
    const dead = await election("one", new FakeClock()); // its time stands still, so it never renews
    expect(dead.term).toBe(0);
    const startMs = performance.now();
    const second = await election("two");
    expect(performance.now() - startMs).toBeGreaterThan(2_900);
    expect(second.term).toBe(1);
    const third = election("three");
    await new Promise((resolve) => setTimeout(resolve, 4_000)); // two renews past its first 3 s
    expect(second.isValid).toBe(true);
    const holder = ["get", "lease/controller", "-n", namespace, "-o", "jsonpath={.spec.holderIdentity}"];
    expect(await cluster.kubectl(holder)).toBe("two");
    await second.release();
    expect((await third).term).toBe(2);
    expect(await cluster.kubectl(holder)).toBe("three");
    await (await third).release();
    expect(await cluster.kubectl(holder)).toBe("");
  }, 30_000);

  it("a server certificate of another authority is Untrusted, not a connection", async () => {
    const { credentials, ...rest } = client.connection;
    const read = async () => ({ ...(await credentials.read()), ca: undefined });
    const other = new KubeClient({ ...rest, credentials: { read, distrust() {} } });
    await expect(other.call({ path: "/readyz" })).rejects.toMatchObject({ code: "Untrusted" });
  });
});

/** A client that can be held before its next list or watch, as a stopped process is. */
class HeldClient extends KubeClient {
  #hold: PromiseWithResolvers<void> | undefined;
  watches = 0;
  /** Ends each watch after so many seconds. */
  watchSeconds: number | undefined;

  hold(): void {
    this.#hold = Promise.withResolvers();
  }
  resume(): void {
    this.#hold?.resolve();
    this.#hold = undefined;
  }

  override async *pages<T extends KubeObject>(...args: Parameters<KubeClient["pages"]>) {
    await this.#hold?.promise;
    yield* super.pages<T>(...args);
  }

  override async watch(...[resource, selection, ...rest]: Parameters<KubeClient["watch"]>): Promise<void> {
    await this.#hold?.promise;
    this.watches++;
    const timeoutSeconds = this.watchSeconds ?? selection.timeoutSeconds;
    await super.watch(resource, { ...selection, timeoutSeconds }, ...rest);
  }
}

describeControlPlane("kube when the API server fails", () => {
  let plane: ControlPlane;
  let client: HeldClient;
  let stop: AbortController;

  beforeAll(async () => {
    // Without its cache the API server watches etcd itself, so that a compaction is felt at once.
    plane = await startControlPlane({
      flags: { "kube-apiserver": ["--etcd-compaction-interval=2s", "--watch-cache-sizes=configmaps#0"] },
    });
    await plane.kubectl(["create", "namespace", namespace]);
    client = new HeldClient((await connect(options(plane.kubeconfig))).connection, { qps: 500, burst: 500 });
  }, 900_000);
  afterAll(() => plane?.stop());
  beforeEach(async () => {
    stop = new AbortController();
    client.watchSeconds = undefined;
    await plane.kubectl(["delete", "configmaps", "--all", "-n", namespace]);
  });
  afterEach(() => {
    client.resume();
    stop.abort(new Error("the test is over"));
  });

  const create = (name: string) => plane.kubectl(["create", "configmap", name, "-n", namespace]);
  const remove = (name: string) => plane.kubectl(["delete", "configmap", name, "-n", namespace]);

  it("a cache survives kill -9 of the API server, and loses no deletion that happened meanwhile", async () => {
    await create("kept");
    await create("gone");
    const { heard, reflector } = await reflect(client, stop.signal);
    client.hold();
    await plane.killApiserver();
    await expect.poll(() => reflector.lastError, { timeout: 5_000 }).toBeDefined();
    await plane.startApiserver();
    await remove("gone");
    await create("new");
    expect(heard).not.toContain("Deleted gone");
    client.resume();
    await expect.poll(() => heard, { timeout: 35_000 }).toContain("Deleted gone");
    expect(heard.filter((each) => each.endsWith(" kept"))).toEqual(["Added kept"]);
    expect(heard).toContain("Added new");
    await remove("new"); // and the watch goes on
    await expect.poll(() => heard, { timeout: 5_000 }).toContain("Deleted new");
  }, 90_000);

  it("watching from a version that etcd compacted is Gone", async () => {
    const { metadata } = await client.create<ConfigMap>(resources.configMaps, configMap("old"));
    const watch = () =>
      client.watch(
        resources.configMaps,
        { namespace, resourceVersion: metadata.resourceVersion!, timeoutSeconds: 1 },
        () => {},
        { signal: stop.signal },
      );
    const outcome = () =>
      watch().then(
        () => "Watched",
        (error) => error.code,
      );
    const afterAnother = async () => {
      await create(`x-${Date.now()}`);
      return outcome();
    };
    await expect.poll(afterAnother, { timeout: 25_000, interval: 500 }).toBe("Gone");
  }, 60_000);

  it("a cache that slept through a compaction lists again and loses no deletion", async () => {
    await create("kept");
    await create("gone");
    client.watchSeconds = 1;
    const causes: unknown[] = [];
    const note = (_: string, fields: object = {}) => causes.push((fields as { cause?: unknown }).cause);
    const { heard } = await reflect(client, stop.signal, { log: { debug: note, info: note, warn: note, error: note } });
    await expect.poll(() => client.watches).toBeGreaterThan(0);
    client.hold(); // the running watch ends in order, the next one is held
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    await remove("gone");
    for (let i = 0; i < 8; i++) {
      await create(`x-${i}`); // revisions move on, and are compacted every 2 s
      await new Promise((resolve) => setTimeout(resolve, 1_000));
    }
    expect(heard).not.toContain("Deleted gone");
    client.resume();
    await expect.poll(() => heard, { timeout: 10_000 }).toContain("Deleted gone");
    expect(causes).toEqual(["Gone"]);
    expect(heard.filter((each) => each.endsWith(" kept"))).toEqual(["Added kept"]);
  }, 60_000);

  it("a token file that is replaced is read again when the old token is refused", async () => {
    const token = () => plane.kubectl(["create", "token", "default", "-n", namespace]);
    const file = join(plane.dir, "rotating-token");
    writeFileSync(file, (await token()).trim());
    const config = JSON.parse(await plane.kubectl(["config", "view", "--raw", "-o", "json"]));
    config.users[0].user = { tokenFile: file };
    const kubeconfig = join(plane.dir, "token.kubeconfig");
    writeFileSync(kubeconfig, JSON.stringify(config));
    const account = await connect(options(kubeconfig));
    expect(await account.call({ path: "/version" })).toMatchObject({ major: "1" });

    writeFileSync(file, "not-a-token");
    account.connection.credentials.distrust();
    await expect(account.get(resources.configMaps, { namespace, name: "kept" })).rejects.toMatchObject({
      code: "Unauthorized",
    });
    writeFileSync(file, (await token()).trim());
    const error = await account.get(resources.configMaps, { namespace, name: "kept" }).catch((error) => error);
    expect(error).toMatchObject({ code: "Forbidden" }); // known again, and without a right to read
    expect(error.message).toContain(`system:serviceaccount:${namespace}:default`);
    expect(error.message).toContain("grant the verb");
  });
});
