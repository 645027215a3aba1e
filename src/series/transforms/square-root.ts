/**
 * The signed square root, sign(y)·√|y|: the noise of a load grows with its level, and on this scale it hardly does.
 */

/** sign(y)·√|y|; NaN stays. */
export function signedRoot(value: number): number {
  return Math.sign(value) * Math.sqrt(Math.abs(value));
}

/** sign(y)·√|y| of each value, NaN stays; a new array. */
export function signedRoots(values: Float64Array): Float64Array {
  const out = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = signedRoot(values[i]);
  return out;
}

/** The inverse of `signedRoots`, in place: sign(z)·z². */
export function signedSquaresInPlace(values: Float64Array): Float64Array {
  for (let i = 0; i < values.length; i++) values[i] = values[i] * Math.abs(values[i]);
  return values;
}
