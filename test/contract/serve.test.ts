import { execFile } from "node:child_process";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ClusterServer } from "../../src/serve/cluster-server.ts";
import { issueAuthority, issueClient } from "../../src/serve/tls/certificates.ts";
import { type ControlPlane, startControlPlane } from "../cluster/control-plane.ts";
import { addDeployment } from "../cluster/objects.ts";
import { describeControlPlane } from "../cluster/suite.ts";
import { dial } from "../unit/serve/dial.ts";
import { externalMetrics, installServe, type Rig } from "./serve-rig.ts";

const web = `${externalMetrics}/namespaces/default/forescale-replicas?labelSelector=forescale.io%2Fihpa%3Dweb`;
const apiService = "v1beta1.external.metrics.k8s.io";

/** Runs the program until it ends. */
function serve(...args: string[]): Promise<{ code: number; stderr: string }> {
  const main = join(import.meta.dirname, "../../src/main.ts");
  return new Promise((resolve) =>
    execFile(process.execPath, [main, "serve", ...args], (error, _stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), stderr }),
    ),
  );
}

describeControlPlane("the metrics API behind a real API server", () => {
  let plane: ControlPlane;
  let rig: Rig;
  let servers: ClusterServer[] = [];

  beforeAll(async () => {
    plane = await startControlPlane();
    rig = await installServe(plane);
    // Found at the start of the servers: what they watch being made can't be as old as it says.
    await addDeployment(plane.kubectl, { name: "silent", replicas: 7 });
    await rig.decide("silent", 4, { ageMs: 5 * 60_000 });
    await rig.decide("gone", 4, { ageMs: 40 * 60_000 });
    servers = await Promise.all(rig.addresses.map((address) => rig.startServer(address)));
    await rig.route(...servers);
    await rig.decide("web", 12);
  }, 900_000);
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.close({ drainMs: 1000 })));
    await plane?.stop();
  });

  const raw = (path: string) => plane.kubectl(["get", "--raw", path]);
  const items = async (path: string) => JSON.parse(await raw(path)).items;

  it("becomes Available and answers through aggregation", async () => {
    const available = () =>
      plane.kubectl([
        "get",
        "apiservice",
        apiService,
        "-o",
        'jsonpath={.status.conditions[?(@.type=="Available")].status}',
      ]);
    await expect.poll(available, { timeout: 30_000 }).toBe("True");
    await expect
      .poll(() => items(web).catch(String), { timeout: 10_000 })
      .toMatchObject([
        {
          metricName: "forescale-replicas",
          metricLabels: {
            "forescale.io/ihpa": "web",
            "forescale.io/rung": "Fresh",
            "forescale.io/reason": "Predicted",
          },
          value: "12",
        },
      ]);
    const load = web.replace("replicas", "load").replace("web", "web%2Cforescale.io%2Fmetric%3Dload");
    expect((await items(load))[0].value).toBe("18");
  });

  it("is found by kubectl, in legacy and in aggregated discovery", async () => {
    const listed = await plane.kubectl(["api-resources", "--api-group=external.metrics.k8s.io", "--no-headers"]);
    expect(listed).toMatch(/^externalmetrics +external\.metrics\.k8s\.io\/v1beta1 +true +ExternalMetricValueList\s*$/);
    expect(JSON.parse(await raw("/apis/external.metrics.k8s.io")).preferredVersion.version).toBe("v1beta1");
    await expect
      .poll(() => raw("/openapi/v3"), { timeout: 70_000, interval: 1000 })
      .toContain("external.metrics.k8s.io/v1beta1");
    expect(await raw("/openapi/v3/apis/external.metrics.k8s.io/v1beta1")).toContain("ExternalMetricValueList");
  }, 90_000);

  it("turns away who has no grant, at the API server and on a direct call", async () => {
    const kubeconfig = await plane.kubeconfigFor({ user: "tenant" });
    await expect(plane.kubectl(["--kubeconfig", kubeconfig, "get", "--raw", web])).rejects.toThrow("Forbidden");
    const certificate = await plane.pki.clientCertificate({ user: "tenant" });
    expect((await dial(await rig.peerOf(servers[0]), { path: web, certificate })).code).toBe(403);
  });

  it("answers 404 for what is not there, as an error that holds the HPA", async () => {
    await expect(raw(web.replace("3Dweb", "3Dnone"))).rejects.toThrow("NotFound");
    await expect(raw(web.replace("/default/", "/kube-system/"))).rejects.toThrow("NotFound");
    await rig.decide("looking", 5, { spec: { scaleMode: "Preview" } });
    await expect.poll(() => raw(web.replace("3Dweb", "3Dlooking")).catch(String)).toContain("Preview");
  });

  it("serves the target's present replicas while the controllers are silent, and an error after that", async () => {
    const silent = web.replace("3Dweb", "3Dsilent");
    const value = async () => {
      const [item] = await items(silent);
      return `${item.metricLabels["forescale.io/rung"]} ${item.value}`;
    };
    await expect.poll(() => value().catch(String), { timeout: 20_000 }).toBe("Held 7");
    await expect.poll(() => raw(silent.replace("silent", "gone")).catch(String)).toContain("more than 30 minutes");
  });

  it("refuses by webhook what the schema can't judge", async () => {
    const refused = (name: string, spec: object) => expect(rig.decide(name, 1, { spec })).rejects;
    const target = { apiVersion: "apps/v1", kind: "Deployment", name: "web" };
    await refused("second", { scaleTargetRef: target }).toThrow("already scaled by IHPA web");
    await refused("zone", { prediction: { timeZone: "Mars/Olympus" } }).toThrow("no time zone");
    const never = { name: "never", timeZone: "UTC", start: "0 0 30 2 *", end: "0 1 30 2 *", minReplicas: 1 };
    await refused("cron", { bounds: [never] }).toThrow("never comes");
    await rig.decide("web", 12); // an object that is there can still be edited
  });

  it("repairs a caBundle that somebody overwrote", async () => {
    await expect.poll(() => raw(web).catch(String)).toContain('"12"');
    const wrong = Buffer.from(plane.pki.frontProxyAuthority.certificate).toString("base64");
    const patch = JSON.stringify({ spec: { caBundle: wrong } });
    const startedMs = Date.now();
    await plane.kubectl(["patch", "apiservice", apiService, "--type=merge", "-p", patch]);
    const bundle = () => plane.kubectl(["get", "apiservice", apiService, "-o", "jsonpath={.spec.caBundle}"]);
    await expect.poll(bundle, { timeout: 30_000 }).not.toBe(wrong);
    await expect.poll(() => raw(web).catch(String), { timeout: 30_000 }).toContain('"12"');
    expect(Date.now() - startedMs).toBeLessThan(30_000);
  }, 60_000);

  it("says in one sentence why the program can't start", async () => {
    const { address, port } = servers[0].address;
    const at = ["--bind-address", address, "--port", String(port)];
    const taken = await serve("--kubeconfig", await rig.serverKubeconfig(), ...at);
    expect(taken).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^forescale: .*:\d+ is taken; choose another port.*\n$/),
    });
    const tenant = await serve("--kubeconfig", await plane.kubeconfigFor({ user: "tenant" }), ...at);
    expect(tenant).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^forescale: get secrets .*forbidden.*grant.*\n$/s),
    });
  });

  it("leaves an APIService alone that is another's", async () => {
    const point = (name: string) =>
      plane.kubectl([
        "patch",
        "apiservice",
        apiService,
        "--type=merge",
        "-p",
        JSON.stringify({ spec: { service: { name, namespace: "forescale-system" }, caBundle: null } }),
      ]);
    const bundle = () => plane.kubectl(["get", "apiservice", apiService, "-o", "jsonpath={.spec.caBundle}"]);
    await point("keda-operator-metrics-apiserver");
    await sleep(2000); // four looks
    expect(await bundle()).toBe("");
    await point("forescale-server");
    await expect.poll(bundle, { timeout: 10_000 }).not.toBe("");
    await expect.poll(() => raw(web).catch(String), { timeout: 30_000 }).toContain('"12"');
  }, 60_000);

  it("believes a new front-proxy authority without a restart", async () => {
    const authority = await issueAuthority("next-front-proxy-ca", 86_400_000, Date.now());
    const certificate = await issueClient(authority, { name: "front-proxy-client" }, 86_400_000, Date.now());
    const headers = ["X-Remote-User", "someone", "X-Remote-Group", "system:masters"];
    const peer = await rig.peerOf(servers[0]);
    const ask = async () => (await dial(peer, { path: web, headers, certificate })).code;
    expect(await ask()).toBe(401);
    const name = "extension-apiserver-authentication";
    const key = "requestheader-client-ca-file";
    const { data } = JSON.parse(await plane.kubectl(["get", "configmap", name, "-n", "kube-system", "-o", "json"]));
    const patch = JSON.stringify({ data: { [key]: `${data[key].trim()}\n${authority.certificate}` } });
    await plane.kubectl(["patch", "configmap", name, "-n", "kube-system", "--type=merge", "-p", patch]);
    await expect.poll(ask, { timeout: 10_000 }).toBe(200);
  });

  it("is restarted replica by replica with no failed request", async () => {
    const load = startLoad();
    for (const index of [0, 1]) {
      await sleep(500);
      const [leaving, staying] = [servers[index], servers[1 - index]];
      const closing = leaving.close({ delayMs: 2500 });
      await rig.route(staying); // what a readiness probe that fails does
      await closing;
      servers[index] = await rig.startServer(rig.addresses[index]);
      await rig.route(...servers);
    }
    await sleep(1000);
    const { sent, failed } = await load.stop();
    expect(failed).toEqual([]);
    expect(sent).toBeGreaterThan(200);
  }, 120_000);

  it("rotates leaves and authorities with no failed request", async () => {
    await Promise.all(servers.map((server) => server.close({ drainMs: 500 })));
    // Renewed at two thirds of a life, so a busy machine has seven seconds to do it in.
    const lifetimes = { authorityMs: 60_000, servingMs: 21_000, settleMs: 3000, overlapMs: 9000 };
    await plane.kubectl(["delete", "secret", "forescale-server-tls", "-n", "forescale-system"]);
    servers = await Promise.all(
      rig.addresses.map((address) => rig.startServer(address, { lifetimes, checkEveryMs: 300 })),
    );
    await rig.route(...servers);
    await expect.poll(() => raw(web).catch(String), { timeout: 30_000 }).toContain('"12"');
    await rig.decide("web", 12);
    const authority = async () =>
      JSON.parse(await plane.kubectl(["get", "secret", "forescale-server-tls", "-n", "forescale-system", "-o", "json"]))
        .data["ca.crt"];
    const first = await authority();
    const load = startLoad();
    const leaves = new Set<string>();
    const untilMs = Date.now() + 75_000;
    while (Date.now() < untilMs) {
      // A new connection each time, verified by what is published now.
      const peer = await rig.peerOf(servers[leaves.size % 2]);
      const answer = await dial(peer, { path: web, certificate: plane.pki.identities.admin });
      expect(answer.code).toBe(200);
      const metrics = await dial(peer, { path: "/metrics", certificate: plane.pki.identities.admin });
      leaves.add(metrics.body.match(/forescale_serve_certificate_expiry_seconds\{[^}]*\} (\d+)/)![1]);
      await sleep(250);
    }
    const { sent, failed } = await load.stop();
    expect(failed).toEqual([]);
    expect(sent).toBeGreaterThan(500);
    expect(leaves.size).toBeGreaterThanOrEqual(4);
    expect(await authority()).not.toBe(first);

    // The tests after this one have other things to do than to renew in time.
    await Promise.all(servers.map((server) => server.close({ drainMs: 500 })));
    await plane.kubectl(["delete", "secret", "forescale-server-tls", "-n", "forescale-system"]);
    servers = await Promise.all(rig.addresses.map((address) => rig.startServer(address)));
    await rig.route(...servers);
    await expect.poll(() => raw(web).catch(String), { timeout: 30_000 }).toContain('"12"');
  }, 240_000);

  it("serves what it knows while the API server is gone, and catches up after", async () => {
    const peer = await rig.peerOf(servers[0]);
    const certificate = plane.pki.identities.admin;
    await plane.killApiserver();
    for (let second = 0; second < 5; second++) {
      expect((await dial(peer, { path: web, certificate })).code).toBe(200);
      await sleep(1000);
    }
    await plane.startApiserver();
    await rig.decide("late", 3);
    const late = async () =>
      (await dial(await rig.peerOf(servers[0]), { path: web.replace("3Dweb", "3Dlate"), certificate })).code;
    await expect.poll(() => late().catch(String), { timeout: 35_000 }).toBe(200);
  }, 90_000);

  /** Asks through the API server without a pause until it is stopped; an answer other than 12 is a failure. */
  function startLoad() {
    const { certificate: cert, key } = plane.pki.identities.admin;
    const agent = new Agent({ keepAlive: true, maxSockets: 4, ca: plane.pki.clusterAuthority.certificate, cert, key });
    const failed: string[] = [];
    let [sent, isStopped] = [0, false];
    const ask = () =>
      new Promise<void>((resolve) => {
        sent++;
        const asked = request(`${plane.url}${web}`, { agent }, (response) => {
          let body = "";
          response.setEncoding("utf8").on("data", (chunk) => {
            body += chunk;
          });
          response.on("end", () => {
            if (response.statusCode !== 200 || !body.includes('"value":"12"'))
              failed.push(`${response.statusCode} ${body}`);
            resolve();
          });
        });
        asked.on("error", (error) => {
          failed.push(String(error));
          resolve();
        });
        asked.end();
      });
    const runs = Array.from({ length: 4 }, async () => {
      while (!isStopped) {
        await ask();
        await sleep(20);
      }
    });
    return {
      async stop() {
        isStopped = true;
        await Promise.all(runs);
        agent.destroy();
        return { sent, failed: failed.slice(0, 5) };
      },
    };
  }
});
