import { CollectError, printable } from "../../collect/collect-error.ts";
import { type AddressPolicy, checkedUrl } from "../../collect/http/address.ts";
import { HttpSource } from "../../collect/http/http-source.ts";

/** What an object's field `external` says: which program, and its settings there. */
export interface ExternalRef {
  readonly name: string;
  readonly config?: Readonly<Record<string, string>>;
}

/** What a program can be asked: over HTTP a path below its URL, over gRPC a method. */
export type Question = "/stability" | "/order" | "/traffic" | "/states";

const methods: Readonly<Record<Question, string>> = {
  "/stability": "Stability",
  "/order": "Order",
  "/traffic": "Traffic",
  "/states": "States",
};

export interface ExternalProgramsOptions {
  /** URL by name, `grpc:` and `grpcs:` too: the administrator's list, beside which nothing is ever called. */
  readonly urls: ReadonlyMap<string, string>;
  readonly addresses: AddressPolicy;
  readonly timeoutMs?: number;
}

/** One program, however it is reached: gives the text of its answer. */
interface Program {
  ask(question: Question, message: object): Promise<string>;
  close(): void;
}

const noun = "external program";
const longestMs = 3000;
const mostBytes = 2 ** 20;

/**
 * External programs that are asked about pods, by names that the administrator gave them: an object names a program and can neither
 * give an address nor a credential. A question is JSON, and so is its answer, over HTTP or gRPC: no redirects, 3 s, 1 MiB.
 */
export class ExternalPrograms {
  readonly #programs: ReadonlyMap<string, Program>;

  /** @throws CollectError BadAddress for a URL that must not be called */
  constructor({ urls, addresses, timeoutMs = longestMs }: ExternalProgramsOptions) {
    const open = (name: string, url: string) =>
      url.startsWith("grpc") ? overGrpc(name, url, addresses, timeoutMs) : overHttp(name, url, addresses, timeoutMs);
    this.#programs = new Map([...urls].map(([name, url]) => [name, open(name, url)]));
  }

  /**
   * Asks a program; the question carries its name and the object's settings too.
   *
   * @returns the fields of its answer, none of which has been checked
   * @throws CollectError NotFound for a name that the administrator has not given; else as `HttpSource.ask`, or BadAnswer
   */
  async ask(
    { name, config = {} }: ExternalRef,
    question: Question,
    about: object,
  ): Promise<Readonly<Record<string, unknown>>> {
    const program = this.#programs.get(name);
    if (program === undefined)
      throw new CollectError(
        "NotFound",
        `there is no external program ${printable(name)}; its administrator names it by \`forescale controller --external-programs NAME=URL\``,
      );
    const message = { ...about, name, config };
    const said = await program.ask(question, message).catch((error) => {
      // A kept connection may have been closed just now; to be asked twice does no harm.
      if (error instanceof CollectError && error.code === "Unreachable") return program.ask(question, message);
      throw error;
    });
    const answer = parsed(said);
    if (answer === undefined) throw this.fault({ name }, `answers ${question} with something else than a JSON object`);
    return answer;
  }

  /** A fault of an answer, with the program's name. */
  fault({ name }: ExternalRef, what: string): CollectError {
    return new CollectError("BadAnswer", `${noun} ${printable(name)} ${what}`);
  }

  close(): void {
    for (const program of this.#programs.values()) program.close();
  }
}

function overHttp(name: string, url: string, addresses: AddressPolicy, timeoutMs: number): Program {
  const source = new HttpSource({ name, noun, url, addresses, timeoutMs, maxBodyBytes: mostBytes });
  return {
    async ask(question, message) {
      const { status, body } = await source.post(question, message);
      if (status === 200) return body.toString("utf8");
      throw source.error(
        status === 404 ? "NotFound" : status >= 500 ? "ServerError" : "BadAnswer",
        `answers ${question} with status ${status}; it must answer 200 with JSON`,
      );
    },
    close: () => source.close(),
  };
}

function overGrpc(name: string, text: string, addresses: AddressPolicy, timeoutMs: number): Program {
  const url = checkedUrl(text.replace(/^grpc/, "http"), name, addresses, noun);
  return {
    async ask(question, message) {
      // Loaded when it is needed: gRPC takes a quarter of a second and 26 MiB, which most controllers never use.
      const { GrpcProgram } = await import("./grpc-program.ts");
      const program = new GrpcProgram({ name, url, addresses, timeoutMs, mostBytes });
      return program.call(methods[question], JSON.stringify(message));
    },
    close: () => {}, // a connection a call
  };
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    if (typeof answer === "object" && answer !== null && !Array.isArray(answer))
      return answer as Record<string, unknown>;
  } catch {
    // Not JSON: said by the caller.
  }
  return undefined;
}
