import { BlockList, isIP } from "node:net";
import { CollectError } from "../collect-error.ts";

/**
 * Which addresses a source may stand at. A MetricSource is the administrator's object and its Prometheus usually has a
 * private address, so private ranges are fine unless refused; loopback is this program's own pod or machine and has to
 * be allowed by name; link-local, metadata, unspecified, multicast and reserved addresses are refused always.
 */
export interface AddressPolicy {
  /** 10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7. Default true. */
  readonly allowPrivate?: boolean;
  /** 127/8 and ::1. Default false. */
  readonly allowLoopback?: boolean;
  /** More addresses to refuse, such as the API server's. */
  readonly refused?: readonly string[];
}

const loopback = listOf("127.0.0.0/8", "::1/128");
const privateRanges = listOf("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7");

/** Never a metric store: where clouds hand out credentials, and what is no unicast address. */
const never = listOf(
  "0.0.0.0/8", // "this host": Linux connects it to loopback
  "169.254.0.0/16", // link-local: AWS, GCP, Azure, OpenStack metadata, ECS credentials
  "100.100.100.200/32", // Alibaba Cloud metadata, inside 100.64/10
  "168.63.129.16/32", // Azure's wire server
  "192.0.0.0/24", // IETF protocol assignments, with Oracle Cloud's metadata
  "224.0.0.0/4",
  "240.0.0.0/4", // reserved, and broadcast
  "::/128",
  "fe80::/10",
  "fec0::/10",
  "ff00::/8",
  "fd00:ec2::/32", // AWS metadata over IPv6, inside fc00::/7
  "fd20:ce::/32", // Google Cloud metadata over IPv6
  "2002::/16", // 6to4 and Teredo hide an IPv4 address
  "2001::/32",
);

/** Why `address` must not be called, or undefined where it may be. */
export function refusalOf(address: string, policy: AddressPolicy): string | undefined {
  const plain = unwrapped(address);
  const family = isIP(plain) === 6 ? "ipv6" : "ipv4";
  if (isIP(plain) === 0) return "not an IP address";
  if (never.check(plain, family)) return "a link-local, metadata or reserved address";
  if ((policy.refused ?? []).some((other) => isIP(other) !== 0 && sameAddress(plain, unwrapped(other))))
    return "refused by this installation";
  if (loopback.check(plain, family) && !policy.allowLoopback) return "a loopback address";
  if (privateRanges.check(plain, family) && policy.allowPrivate === false) return "a private address";
  return undefined;
}

/**
 * A source's base URL, checked: http or https, no user or password, no fragment, and no literal address that `policy`
 * refuses. Gives it without a trailing slash in the path.
 * @param noun what it is, for messages
 * @throws CollectError BadAddress
 */
export function checkedUrl(text: string, source: string, policy: AddressPolicy, noun = "metric source"): URL {
  const bad = (why: string) => new CollectError("BadAddress", `${noun} ${source}: ${why}`);
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    // The text may hold a password, so it is not repeated.
    throw bad("its URL cannot be read; write it as http://HOST:PORT/PATH or https://HOST:PORT/PATH");
  }
  if (url.protocol !== "http:" && url.protocol !== "https:")
    throw bad(`its URL begins with ${printableScheme(url)}; only http: and https: are read`);
  if (url.username !== "" || url.password !== "")
    throw bad("its URL holds a user or password; put them into a Secret and name that in the source");
  if (url.hash !== "" || url.search !== "") throw bad("its URL holds a ? or #; give the base address only");
  const host = url.hostname.replace(/^\[|\]$/g, "");
  const refusal = isIP(host) === 0 ? undefined : refusalOf(host, policy);
  if (refusal) throw bad(`${host} is ${refusal}, so it is not called; name its own address`);
  url.pathname = url.pathname.replace(/\/+$/, "");
  return url;
}

function printableScheme(url: URL): string {
  return JSON.stringify(url.protocol.slice(0, 16));
}

/** The IPv4 address inside an IPv4-mapped, IPv4-compatible or NAT64 one; else the address without its zone. */
function unwrapped(address: string): string {
  const bare = address.replace(/%.*$/, "");
  if (isIP(bare) !== 6) return bare;
  const groups = groupsOf(bare);
  const high = groups.slice(0, 6).join(":");
  const wraps = high === "0:0:0:0:0:65535" || high === "100:65435:0:0:0:0" || (high === "0:0:0:0:0:0" && groups[6] > 0);
  if (!wraps) return bare;
  return [groups[6] >> 8, groups[6] & 255, groups[7] >> 8, groups[7] & 255].join(".");
}

/** An IPv6 address as its eight numbers. */
function groupsOf(address: string): number[] {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  const plain = dotted
    ? `${dotted[1]}${(Number(dotted[2]) * 256 + Number(dotted[3])).toString(16)}:${(Number(dotted[4]) * 256 + Number(dotted[5])).toString(16)}`
    : address;
  const [left, right] = plain
    .split("::")
    .map((side) => (side === "" ? [] : side.split(":").map((g) => parseInt(g, 16))));
  if (right === undefined) return left;
  return [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
}

function sameAddress(a: string, b: string): boolean {
  if (isIP(a) !== isIP(b)) return false;
  return isIP(a) === 4 ? a === b : groupsOf(a).join() === groupsOf(b).join();
}

function listOf(...ranges: string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address, bits] = range.split("/");
    list.addSubnet(address, Number(bits), isIP(address) === 6 ? "ipv6" : "ipv4");
  }
  return list;
}
