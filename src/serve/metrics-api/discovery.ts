import { createHash } from "node:crypto";
import { externalMetricsPath, externalMetricsGroup as group, externalMetricsVersion as version } from "../names.ts";
import { openApiV2, openApiV3 } from "./openapi.ts";

/** A document that never changes while the program runs. */
export interface Document {
  readonly contentType: string;
  readonly body: string;
  readonly etag: string;
}

const groupVersion = { groupVersion: `${group}/${version}`, version };
const apiGroup = { name: group, versions: [groupVersion], preferredVersion: groupVersion };

/** `/apis` for clients that know no aggregated discovery. */
export const apiGroupList = document({ kind: "APIGroupList", apiVersion: "v1", groups: [apiGroup] });

/** `/apis/external.metrics.k8s.io`. */
export const apiGroupDocument = document({ kind: "APIGroup", apiVersion: "v1", ...apiGroup });

/** `/apis/external.metrics.k8s.io/v1beta1`: one static entry, however many metrics and IHPAs there are. */
export const apiResourceList = document({
  kind: "APIResourceList",
  apiVersion: "v1",
  groupVersion: groupVersion.groupVersion,
  resources: [
    {
      name: "externalmetrics",
      singularName: "externalmetric",
      namespaced: true,
      kind: "ExternalMetricValueList",
      verbs: ["get"],
    },
  ],
});

/** `/apis` for those who ask for aggregated discovery. */
export const aggregatedDiscovery = { v2: aggregated("v2"), v2beta1: aggregated("v2beta1") } as const;

/** `/openapi/v2`, and `/openapi/v3` of the group-version. */
export const openApiV2Document = document(openApiV2);
export const openApiV3Document = document(openApiV3);

/** `/openapi/v3`: where the group-version's document is, with its hash. */
export const openApiV3Index = document({
  paths: {
    [externalMetricsPath.slice(1)]: {
      serverRelativeURL: `/openapi/v3${externalMetricsPath}?hash=${openApiV3Document.etag.replaceAll('"', "")}`,
    },
  },
});

/** `/`: what there is. */
export const rootPaths = document({
  paths: [
    "/apis",
    `/apis/${group}`,
    externalMetricsPath,
    "/healthz",
    "/livez",
    "/metrics",
    "/openapi/v2",
    "/openapi/v3",
    "/readyz",
    "/version",
  ],
});

function aggregated(discovery: "v2" | "v2beta1"): Document {
  const list = {
    kind: "APIGroupDiscoveryList",
    apiVersion: `apidiscovery.k8s.io/${discovery}`,
    metadata: {},
    items: [
      {
        metadata: { name: group, creationTimestamp: null },
        versions: [
          {
            version,
            freshness: "Current",
            resources: [
              {
                resource: "externalmetrics",
                responseKind: { group: "", version: "", kind: "ExternalMetricValueList" },
                scope: "Namespaced",
                singularResource: "externalmetric",
                verbs: ["get"],
              },
            ],
          },
        ],
      },
    ],
  };
  return document(list, `application/json;g=apidiscovery.k8s.io;v=${discovery};as=APIGroupDiscoveryList`);
}

/** @returns a document whose entity tag is the hash of its bytes */
export function document(value: object, contentType = "application/json"): Document {
  const body = `${JSON.stringify(value)}\n`;
  return { contentType, body, etag: `"${createHash("sha256").update(body).digest("hex").toUpperCase()}"` };
}
