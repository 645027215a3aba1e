/** Residuals closer together than this repeat each other: their windows overlap. */
const apartMs = 120_000;
/** How fast the usual size of a residual is learnt: a few hours. */
const forget = 1 / 120;
/** The mean of the last residuals is one of some twenty minutes. */
const recent = 0.1;
/** A shift of the mean by more than this many usual residuals adds up; at the threshold it is drift. */
const slack = 1;
const threshold = 8;
/** Residuals needed before any verdict. */
const warmUp = 30;

/**
 * Whether the mean of a forecast's residuals has shifted: a two-sided cumulative sum of residuals in units of their usual size.
 *
 * **Source**: Page, Continuous Inspection Schemes, Biometrika 41 (1954). **Differs**: the usual size is learnt while watching, of
 * clipped residuals, so that the shift itself does not hide in it; the sums are capped, so that a shift that ended is soon over.
 */
export class Drift {
  private up = 0;
  private down = 0;
  private lately = 0;
  private usual = Number.NaN;
  private seen = 0;
  private lastMs = Number.NEGATIVE_INFINITY;

  /** @param residual the actual value less the forecast */
  add(timeMs: number, residual: number): void {
    if (timeMs - this.lastMs < apartMs) return;
    this.lastMs = timeMs;
    this.seen++;
    const size = Math.abs(residual);
    this.lately += recent * (residual - this.lately);
    if (this.seen <= warmUp) {
      // The mean of the first ones.
      this.usual = Number.isNaN(this.usual) ? size : this.usual + (size - this.usual) / this.seen;
      return;
    }
    const z = this.usual > 0 ? Math.max(-4, Math.min(4, residual / this.usual)) : 4 * Math.sign(residual);
    this.up = Math.min(2 * threshold, Math.max(0, this.up + z - slack));
    this.down = Math.min(2 * threshold, Math.max(0, this.down - z - slack));
    this.usual += forget * (Math.min(size, 4 * this.usual) - this.usual);
  }

  /** How far too high the forecast has lately been, in pods, as a number not above 0; 0 while its residuals have not drifted down. */
  get excess(): number {
    return this.down >= threshold ? Math.min(0, this.lately) : 0;
  }

  get hasDrifted(): boolean {
    return this.up >= threshold || this.down >= threshold;
  }
}
