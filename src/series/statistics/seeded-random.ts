/** Numbers in [0, 1), each independent of the ones before. */
export type Random = () => number;

/**
 * A generator of random numbers, the same for the same seed on every machine.
 *
 * @param seed its lower 32 bits count
 * @see mulberry32 of T. Ettinger: 2³² states, enough for forests, initial weights and shuffles
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Puts the elements in random order, in place (Fisher and Yates). */
export function shuffle(values: Int32Array, random: Random): Int32Array {
  for (let i = values.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    const value = values[i];
    values[i] = values[j];
    values[j] = value;
  }
  return values;
}
