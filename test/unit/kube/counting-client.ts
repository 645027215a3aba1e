import { type Call, KubeClient } from "../../../src/kube/client/client.ts";

/** A client that knows whether a call is under way, so that a test's clock does not outrun the sockets. */
export class CountingClient extends KubeClient {
  #underWay = 0;

  override async call<T>(call: Call): Promise<T> {
    this.#underWay++;
    try {
      return await super.call<T>(call);
    } finally {
      this.#underWay--;
    }
  }

  override async watch(...[resource, selection, onEvent, options]: Parameters<KubeClient["watch"]>): Promise<void> {
    this.#underWay++;
    let isStarting = true;
    const started = () => {
      if (isStarting) this.#underWay--;
      isStarting = false;
    };
    const onStart = () => {
      started();
      options.onStart?.();
    };
    try {
      await super.watch(resource, selection, onEvent, { ...options, onStart });
    } finally {
      started();
    }
  }

  /** Waits until nothing is under way; gives up after `hangMs` of real time, for calls that are to hang. */
  async idle(hangMs = 2_000): Promise<void> {
    const untilMs = Date.now() + hangMs;
    do await new Promise(setImmediate);
    while (this.#underWay > 0 && Date.now() < untilMs);
    await new Promise(setImmediate);
  }
}
