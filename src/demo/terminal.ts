import type { WriteStream } from "node:tty";
import { palette } from "./chart.ts";
import type { Display, Stage } from "./run.ts";
import { drawScreen } from "./screen.ts";

/** A redraw more often than this is not seen. */
const frameMs = 100;

const enter = "\x1b[?1049h\x1b[?25l";
const leave = "\x1b[?25h\x1b[?1049l";
const clear = "\x1b[2J";
const beginUpdate = "\x1b[?2026h";
const endUpdate = "\x1b[?2026l";

/**
 * Draws on the alternate screen of a terminal. Only lines that changed are written: nothing flickers, and text that stays can be
 * selected and copied.
 */
export class TerminalDisplay implements Display {
  readonly #stream: WriteStream;
  readonly #colour: boolean;
  readonly #now: () => number;
  #drawn: string[] = [];
  #drawnMs = Number.NEGATIVE_INFINITY;
  #isOn = false;
  readonly #onResize = () => {
    this.#drawn = [];
    this.#drawnMs = Number.NEGATIVE_INFINITY;
  };
  /** The user's own screen comes back whatever ends the program. */
  readonly #restore = () => {
    if (this.#isOn) this.#stream.write(leave);
    this.#isOn = false;
  };

  constructor(stream: WriteStream, colour: boolean, now: () => number) {
    this.#stream = stream;
    this.#colour = colour;
    this.#now = now;
  }

  begin(stage: Stage): void {
    this.#isOn = true;
    this.#stream.on("resize", this.#onResize);
    process.once("exit", this.#restore);
    this.#stream.write(enter);
    this.show(stage);
  }

  show(stage: Stage): void {
    const nowMs = this.#now();
    if (nowMs - this.#drawnMs < frameMs) return;
    this.#drawnMs = nowMs;
    const { columns = 80, rows = 24 } = this.#stream;
    const lines = drawScreen(stage, { columns, rows }, palette(this.#colour));
    let text = this.#drawn.length === lines.length ? "" : clear;
    let row = 1;
    lines.forEach((line, k) => {
      const width = visibleWidth(line);
      if (text.startsWith(clear) || line !== this.#drawn[k])
        text += `\x1b[${row};1H${line}${width < columns ? "\x1b[K" : ""}`;
      row += Math.max(1, Math.ceil(width / columns));
    });
    this.#drawn = lines;
    if (text !== "") this.#stream.write(beginUpdate + text + endUpdate);
  }

  end(): void {
    this.#stream.off("resize", this.#onResize);
    process.off("exit", this.#restore);
    this.#restore();
  }
}

function visibleWidth(line: string): number {
  return line.replace(/\x1b\[[0-9;]*m/g, "").length;
}
