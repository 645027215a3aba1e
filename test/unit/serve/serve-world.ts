import { X509Certificate } from "node:crypto";
import type { AddressInfo } from "node:net";
import type { HorizontalPortrait } from "../../../src/api/kinds/horizontal-portrait.ts";
import type { IntelligentHorizontalPodAutoscaler } from "../../../src/api/kinds/intelligent-horizontal-pod-autoscaler.ts";
import type { Clock } from "../../../src/kube/loop/clock.ts";
import type { AuthenticationConfig } from "../../../src/serve/access/authentication-config.ts";
import { identityOf } from "../../../src/serve/access/identity.ts";
import { MemorySnapshot } from "../../../src/serve/metrics-api/snapshot.ts";
import { createServer, type Server, type ServerOptions } from "../../../src/serve/server.ts";
import { issueAuthority, issueClient, issueServing } from "../../../src/serve/tls/certificates.ts";
import type { World } from "./bad-input.ts";
import type { Peer } from "./dial.ts";

type Ihpa = IntelligentHorizontalPodAutoscaler;

const dayMs = 86_400_000;

/** Authorities and certificates of everybody who calls in the tests; made once, as keys take time. */
export async function makeCredentials() {
  const nowMs = Date.now();
  const [clientCa, frontProxyCa, servingCa] = await Promise.all(
    ["client-ca", "front-proxy-ca", "serving-ca"].map((name) => issueAuthority(name, dayMs, nowMs)),
  );
  const proxy = (name: string, beginMs = nowMs) => issueClient(frontProxyCa, { name }, dayMs, beginMs);
  const serving = await issueServing(servingCa, ["localhost", "127.0.0.1"], dayMs, nowMs);
  const callers = {
    frontProxy: await proxy("front-proxy-client"),
    frontProxyOtherName: await proxy("somebody"),
    frontProxyExpired: await proxy("front-proxy-client", nowMs - 2 * dayMs),
    frontProxyServerAuth: await issueServing(frontProxyCa, ["front-proxy-client"], dayMs, nowMs),
    tenant: await issueClient(clientCa, { name: "tenant", groups: ["dev"] }, dayMs, nowMs),
    master: await issueClient(clientCa, { name: "admin", groups: ["system:masters"] }, dayMs, nowMs),
  };
  return { clientCa, frontProxyCa, servingCa, serving, callers };
}

export type Credentials = Awaited<ReturnType<typeof makeCredentials>>;

export function authenticationOf({ clientCa, frontProxyCa }: Pick<Credentials, "clientCa" | "frontProxyCa">) {
  return {
    clientAuthorities: [new X509Certificate(clientCa.certificate)],
    frontProxy: {
      authorities: [new X509Certificate(frontProxyCa.certificate)],
      allowedNames: ["front-proxy-client"],
      usernameHeaders: ["x-remote-user"],
      uidHeaders: ["x-remote-uid"],
      groupHeaders: ["x-remote-group"],
      extraPrefixes: ["x-remote-extra-"],
    },
  } satisfies AuthenticationConfig;
}

/** A clock that stands until it is moved. */
export function handClock(
  startMs = Date.UTC(2026, 10, 22, 12),
): Clock & { advance(ms: number): void; jump(ms: number): void } {
  let wallMs = startMs;
  let monotonicMs = 1_000_000;
  return {
    wallMs: () => wallMs,
    monotonicMs: () => monotonicMs,
    setTimer: () => ({ cancel: () => {} }),
    advance(ms) {
      wallMs += ms;
      monotonicMs += ms;
    },
    jump(ms) {
      wallMs += ms;
    },
  };
}

/** An IHPA of which only what a test is about needs to be said. */
export function ihpaOf(
  name: string,
  {
    spec,
    decision,
    metadata,
  }: {
    spec?: Partial<Ihpa["spec"]>;
    decision?: Partial<NonNullable<NonNullable<Ihpa["status"]>["decision"]>>;
    metadata?: Partial<Ihpa["metadata"]>;
  } = {},
): Ihpa {
  const total = decision?.total ?? 12;
  return {
    apiVersion: "autoscaling.forescale.io/v1alpha1",
    kind: "IntelligentHorizontalPodAutoscaler",
    metadata: { name, namespace: "default", uid: `uid-of-${name}`, generation: 1, ...metadata },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name },
      minReplicas: 1,
      maxReplicas: 100,
      scaleMode: "Auto",
      paused: false,
      portraitProviders: [
        { type: "Dynamic", priority: 0, dynamic: { portraitType: "Predictive" } },
        { type: "Dynamic", priority: 0, dynamic: { portraitType: "Reactive" } },
      ],
      ...spec,
    } as Ihpa["spec"],
    ...(decision && {
      status: {
        decision: {
          time: new Date().toISOString(),
          online: total,
          cutoff: 0,
          standby: 0,
          total,
          rung: "Fresh",
          reason: "Predicted",
          ...decision,
        },
      },
    }),
  };
}

/** A portrait of an IHPA. */
export function portraitOf(
  ihpa: string,
  portraitType: "Predictive" | "Reactive",
  status: HorizontalPortrait["status"],
): HorizontalPortrait {
  return {
    apiVersion: "autoscaling.forescale.io/v1alpha1",
    kind: "HorizontalPortrait",
    metadata: {
      name: `${ihpa}-${portraitType.toLowerCase()}`,
      namespace: "default",
      labels: { "forescale.io/ihpa": ihpa },
    },
    spec: { portraitType, scaleTargetRef: { kind: "Deployment", name: ihpa } } as HorizontalPortrait["spec"],
    status,
  };
}

/** A server on loopback with one IHPA, `web`, at 12 replicas; the token `good` is a user who may read it. */
export async function startServer(credentials: Credentials, options: Partial<ServerOptions> = {}, listenAt = 0) {
  const snapshot = new MemorySnapshot({ ...handClock(), wallMs: Date.now, monotonicMs: () => performance.now() });
  snapshot.setIhpa(ihpaOf("web", { decision: { total: 12 } }));
  const config = authenticationOf(credentials);
  const server = createServer({
    certificate: credentials.serving,
    snapshot,
    authentication: () => config,
    reviewToken: async (token) =>
      token === "good" ? { kind: "Authenticated", identity: identityOf("reader", ["dev"]) } : { kind: "Rejected" },
    reviewAccess: async ({ user }) => ({ isAllowed: user === "reader" }),
    instance: "this-one",
    ...options,
  });
  const { port }: AddressInfo = await server.listen(listenAt, "127.0.0.1");
  const peer: Peer = { host: "127.0.0.1", port, ca: credentials.servingCa.certificate, servername: "localhost" };
  return { server, snapshot, peer };
}

export type { Server };

export const metricPath = "/apis/external.metrics.k8s.io/v1beta1/namespaces/default/forescale-replicas";
export const query = "labelSelector=forescale.io%2Fihpa%3Dweb";

export function worldOf({ callers }: Credentials): World {
  return { metricPath, query, badToken: "bad", ...callers };
}
