import { readFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { parse } from "yaml";

/** What the API server said. */
export interface Answer {
  readonly status: number;
  /** Texts of the Warning headers. */
  readonly warnings: readonly string[];
  // biome-ignore lint/suspicious/noExplicitAny: any object of the API
  readonly body: any;
}

/**
 * Sends requests as the user of a kubeconfig: JSON, or server-side apply where the body is `{yaml}` and the method PATCH.
 *
 * @param kubeconfig its text
 */
export function apiClient(kubeconfig: string): (method: string, path: string, body?: unknown) => Promise<Answer> {
  const config = parse(kubeconfig);
  const { server, ...authority } = config.clusters[0].cluster;
  const user = config.users[0].user;
  const agent = new Agent({
    keepAlive: true,
    ca: pem(authority, "certificate-authority"),
    cert: pem(user, "client-certificate"),
    key: pem(user, "client-key"),
  });
  return (method, path, body) =>
    new Promise((resolve, reject) => {
      const isApply = method === "PATCH";
      const sent = request(
        `${server}${path}`,
        {
          method,
          agent,
          headers: {
            accept: "application/json",
            "content-type": isApply ? "application/apply-patch+yaml" : "application/json",
            ...(user.token && { authorization: `Bearer ${user.token}` }),
          },
        },
        (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk) => {
            text += chunk;
          });
          response.on("end", () =>
            resolve({
              status: response.statusCode ?? 0,
              warnings: response.headersDistinct.warning ?? [],
              body: JSON.parse(text),
            }),
          );
        },
      );
      sent.on("error", reject);
      sent.end(body === undefined ? undefined : isApply ? (body as { yaml: string }).yaml : JSON.stringify(body));
    });
}

/** PEM of a kubeconfig's entry: inline, or in the file that it names. */
function pem(entry: Readonly<Record<string, string>>, name: string): Buffer | undefined {
  const inline = entry[`${name}-data`];
  if (inline) return Buffer.from(inline, "base64");
  return entry[name] ? readFileSync(entry[name]) : undefined;
}
