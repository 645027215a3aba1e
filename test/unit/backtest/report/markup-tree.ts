/** Elements that have no end tag. */
const voids = new Set(["meta", "br", "hr", "img", "input", "link"]);

/**
 * Reads a page strictly: every tag closed in order, every attribute quoted, no bare `<`, `>` in text or `&` that is no entity.
 *
 * @returns all elements in order, with their attributes, and all text outside of style
 * @throws Error that names what is wrong
 */
export function readMarkup(page: string): {
  elements: { name: string; attributes: Map<string, string> }[];
  text: string;
} {
  const elements: { name: string; attributes: Map<string, string> }[] = [];
  const open: string[] = [];
  let text = "";
  let at = page.indexOf("<!doctype html>") === 0 ? 15 : 0;
  while (at < page.length) {
    const next = page.indexOf("<", at);
    const between = page.slice(at, next < 0 ? page.length : next);
    if (open.at(-1) !== "style") {
      if (between.includes(">")) throw new Error(`a bare > in ${JSON.stringify(between)}`);
      if (/&(?!(amp|lt|gt|quot|#39);)/.test(between)) throw new Error(`a bare & in ${JSON.stringify(between)}`);
      text += between;
    }
    if (next < 0) break;
    const tag = /^<(\/?)([a-z][a-z0-9]*)((?:\s+[a-zA-Z][a-zA-Z0-9-]*(?:="[^"<]*")?)*)\s*(\/?)>/.exec(page.slice(next));
    if (tag === null) throw new Error(`no tag at ${JSON.stringify(page.slice(next, next + 60))}`);
    const [whole, end, name, attributes, closed] = tag;
    if (end) {
      if (open.pop() !== name) throw new Error(`</${name}> closes what is not open`);
    } else {
      const pairs = [...attributes.matchAll(/([a-zA-Z][a-zA-Z0-9-]*)(?:="([^"]*)")?/g)];
      elements.push({ name, attributes: new Map(pairs.map(([, key, value]) => [key, value ?? ""])) });
      if (!voids.has(name) && !closed) open.push(name);
    }
    at = next + whole.length;
  }
  if (open.length > 0) throw new Error(`never closed: ${open.join(", ")}`);
  return { elements, text };
}
