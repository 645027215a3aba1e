/**
 * Replicas of a clairvoyant: at every tick just enough for the largest demand while a pod asked for now comes up, so it is
 * never short and never has a pod too many for that. No policy that must not be short can do with fewer.
 *
 * @param demand pods needed at each tick, fractional
 * @param startupTicks ticks from a pod's creation to its readiness
 * @returns whole pods at each tick, at least 1, same length
 */
export function oracleReplicas(demand: Float64Array, startupTicks: number): Float64Array {
  const n = demand.length;
  const replicas = new Float64Array(n);
  // A window that slides: indices of ever smaller demands, the largest in front.
  const window: number[] = [];
  let front = 0;
  for (let end = 0, i = 0; i < n; i++) {
    for (; end < n && end <= i + startupTicks; end++) {
      while (window.length > front && demand[window[window.length - 1]] <= demand[end]) window.pop();
      window.push(end);
    }
    while (window[front] < i) front++;
    replicas[i] = Math.max(1, Math.ceil(demand[window[front]] - 1e-9));
  }
  return replicas;
}
