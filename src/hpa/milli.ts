/** Above this a quantity does not fit the HPA's thousandths. */
const mostMilli = 2 ** 63;

/**
 * A quantity as the HPA reads it: whole thousandths, rounded up. What does not fit 64 bits reads as 0, as it does there.
 *
 * @param value a finite number
 */
export function toMilli(value: number): number {
  const milli = value * 1000;
  if (Math.abs(milli) >= mostMilli) return 0;
  const nearest = Math.round(milli);
  // 0.3 · 1000 is a hair off 300 in binary; a quantity is decimal and is exactly 300.
  return Math.abs(milli - nearest) <= 4 * Number.EPSILON * Math.abs(milli) ? nearest : Math.ceil(milli);
}
