/** Why something is not as it should be: one word for programs, one sentence for people. */
export interface Cause<R extends string = string> {
  readonly reason: R;
  readonly message: string;
}
