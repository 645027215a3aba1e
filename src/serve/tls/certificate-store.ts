import type { KubeClient } from "../../kube/client/client.ts";
import { type KubeObject, resources } from "../../kube/client/resource.ts";
import type { StoredCertificates } from "./certificate-rotation.ts";
import type { Issued } from "./certificates.ts";

/** A Secret of certificates as it was read, with what a conditional write needs. */
export interface CertificateSecret {
  readonly stored: StoredCertificates;
  /** Undefined when there is no Secret yet. */
  readonly resourceVersion: string | undefined;
}

interface Secret extends KubeObject {
  readonly type?: string;
  readonly data?: Readonly<Record<string, string>>;
}

/** The Secret that all replicas share; races between them are settled by its resourceVersion. */
export class CertificateStore {
  readonly #client: KubeClient;
  readonly #key: { readonly namespace: string; readonly name: string };

  constructor(client: KubeClient, key: { readonly namespace: string; readonly name: string }) {
    this.#client = client;
    this.#key = key;
  }

  /** @throws KubeError */
  async read(): Promise<CertificateSecret> {
    const secret = await this.#client.find<Secret>(resources.secrets, this.#key, { exempt: true, timeoutMs: 10_000 });
    const data = new Map(
      Object.entries(secret?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]),
    );
    return {
      resourceVersion: secret?.metadata.resourceVersion,
      stored: {
        authority: pair(data, "ca"),
        next: pair(data, "next-ca"),
        serving: pair(data, "tls"),
        bundle: data.get("ca-bundle.crt") ?? "",
      },
    };
  }

  /** @throws KubeError `Conflict` or `AlreadyExists` when another replica was first */
  async write(stored: StoredCertificates, resourceVersion: string | undefined): Promise<void> {
    const entries = {
      "ca.crt": stored.authority?.certificate,
      "ca.key": stored.authority?.key,
      "next-ca.crt": stored.next?.certificate,
      "next-ca.key": stored.next?.key,
      "tls.crt": stored.serving?.certificate,
      "tls.key": stored.serving?.key,
      "ca-bundle.crt": stored.bundle,
    };
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { ...this.#key, ...(resourceVersion && { resourceVersion }) },
      type: "kubernetes.io/tls",
      data: Object.fromEntries(
        Object.entries(entries).flatMap(([key, value]) =>
          value === undefined ? [] : [[key, Buffer.from(value).toString("base64")]],
        ),
      ),
    };
    const options = { exempt: true, timeoutMs: 10_000 };
    if (resourceVersion === undefined) await this.#client.create(resources.secrets, secret, options);
    else await this.#client.replace(resources.secrets, secret, options);
  }
}

function pair(data: ReadonlyMap<string, string>, name: string): Issued | undefined {
  const certificate = data.get(`${name}.crt`);
  const key = data.get(`${name}.key`);
  return certificate && key ? { certificate, key } : undefined;
}
