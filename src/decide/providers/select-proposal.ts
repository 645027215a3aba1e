/** A number of replicas that a provider proposes. */
export interface Proposal {
  /** Static, Cron, Predictive, Reactive, Burst or the name of an external generator. */
  readonly provider: string;
  readonly priority: number;
  readonly replicas: number;
  /** From then on the proposal is not valid any more; absent where it always is. */
  readonly expireMs?: number;
}

/** The valid proposal of the highest priority; among equals the largest, and among those the first. Undefined where none is valid. */
export function selectProposal(proposals: readonly Proposal[], timeMs: number): Proposal | undefined {
  let best: Proposal | undefined;
  for (const proposal of proposals) {
    if (proposal.expireMs !== undefined && proposal.expireMs <= timeMs) continue;
    if (!Number.isFinite(proposal.replicas)) continue;
    if (
      best === undefined ||
      proposal.priority > best.priority ||
      (proposal.priority === best.priority && proposal.replicas > best.replicas)
    )
      best = proposal;
  }
  return best;
}
