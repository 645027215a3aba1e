/** The API that this server adds to the cluster. */
export const externalMetricsGroup = "external.metrics.k8s.io";
export const externalMetricsVersion = "v1beta1";
export const externalMetricsPath = `/apis/${externalMetricsGroup}/${externalMetricsVersion}`;

/** Its registration; one in a cluster. */
export const apiServiceName = `${externalMetricsVersion}.${externalMetricsGroup}`;

/** Our webhook configurations, which trust the same authority: the one that validates, and the one that adds to pods. */
export const validationName = "forescale-validation";
export const injectionName = "forescale-injection";

/** Where the serving certificate and its authority are kept. */
export const secretName = "forescale-server-tls";

/** Response header that says which replica answered: how a request through the aggregator knows that it reached us. */
export const instanceHeader = "Forescale-Instance";
