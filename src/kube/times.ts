/** A `metav1.Time`: RFC 3339 in whole seconds. */
export function stamp(wallMs: number): string {
  return new Date(Math.floor(wallMs / 1000) * 1000).toISOString().replace(".000Z", "Z");
}

/** A `metav1.MicroTime`, which wants exactly six decimals. */
export function microTime(wallMs: number): string {
  return new Date(wallMs).toISOString().replace("Z", "000Z");
}
