/** What is asked, as messages call it. */
export type Noun = "metric source" | "external program";

/** A MetricSource names its authority, an external program is trusted as this process trusts. */
const trust: Readonly<Record<Noun, string>> = {
  "metric source": "give that authority's certificate as the source's CA",
  "external program":
    "name a file with that authority's certificate in the controller's environment, as NODE_EXTRA_CA_CERTS",
};

const troubles: readonly [RegExp, [what: string, remedy: string | Readonly<Record<Noun, string>>]][] = [
  [/^ECONNREFUSED$/, ["refuses the connection", "check that it runs and that the port is right"]],
  [/^(ENOTFOUND|EAI_)/, ["has a host name that does not resolve", "correct the host in its URL"]],
  [/^(EHOSTUNREACH|ENETUNREACH)$/, ["cannot be reached over the network", "see routes and network policies"]],
  [
    /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|CERT_UNTRUSTED)/,
    ["shows a certificate of an unknown authority", trust],
  ],
  [/^CERT_HAS_EXPIRED$/, ["shows an expired certificate", "renew it"]],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    ["shows a certificate for another host", "use a host name that the certificate has"],
  ],
  [/^(EPROTO|ERR_SSL_)/, ["does not speak TLS as expected", "check whether its URL should begin with http: or https:"]],
  [/^(HPE_)/, ["does not speak HTTP", "check whether its URL should begin with http: or https:"]],
  [/^(ECONNRESET|EPIPE|ERR_STREAM_PREMATURE_CLOSE)$/, ["closed the connection early", "see its log"]],
];

/** What a connection that failed says, and what to do, from the code of its error. */
export function connectionTrouble(cause: unknown, noun: Noun): [what: string, remedy: string] {
  const { errors = [], cause: earlier } = (cause ?? {}) as Partial<AggregateError>;
  // A stream's error tells of its connection's: that one says why.
  const all = [earlier, cause, ...errors];
  const code = all.map((error) => (error as NodeJS.ErrnoException)?.code ?? "").find((each) => each !== "") ?? "";
  const [what, remedy] = troubles.find(([pattern]) => pattern.test(code))?.[1] ?? [
    `did not answer${code ? ` (${code})` : ""}`,
    "check that it runs and that the network allows the connection",
  ];
  return [what, typeof remedy === "string" ? remedy : remedy[noun]];
}
