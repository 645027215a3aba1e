import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";

/** Files of this machine that an image is to hold. Symbolic links outside of `keepLinks` become what they point to. */
export interface Layer {
  /** The folder that `paths` are relative to. */
  readonly from: string;
  readonly paths: readonly string[];
  /** The folder in the image that stands for `from`, such as `app/`; its root unless given. */
  readonly at?: string;
  /** Patterns of `tar --exclude`. */
  readonly exclude?: readonly string[];
  readonly keepLinks?: boolean;
}

/** A container image made of this machine's own files, without a registry or a builder. */
export interface LocalImage {
  /** With a tag, such as `localhost/pause:1`; pods name it with `imagePullPolicy: Never`. */
  readonly name: string;
  readonly layers: readonly Layer[];
  readonly entrypoint: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly workingDir?: string;
}

/**
 * Writes an image as a docker archive: manifest.json, a config, and a tar for each layer.
 *
 * @param dir a folder for the layers meanwhile, made and removed
 * @throws Error with tar's own message when a file cannot be read
 */
export async function writeArchive(image: LocalImage, dir: string, archive: string): Promise<void> {
  mkdirSync(dir, { recursive: true });
  try {
    const layers: { file: string; digest: string }[] = [];
    for (const [index, layer] of image.layers.entries()) {
      const file = `layer-${index}.tar`;
      await tar([...layerArguments(layer), ...layer.paths], layer.from, join(dir, file));
      layers.push({ file, digest: await sha256(join(dir, file)) });
    }
    const files = layers.map(({ file }) => file);
    const config = {
      architecture: process.arch === "x64" ? "amd64" : process.arch,
      os: "linux",
      config: {
        Entrypoint: image.entrypoint,
        Env: Object.entries({ PATH: "/usr/local/bin:/bin", ...image.env }).map(([name, value]) => `${name}=${value}`),
        WorkingDir: image.workingDir ?? "/",
      },
      rootfs: { type: "layers", diff_ids: layers.map(({ digest }) => `sha256:${digest}`) },
      history: [],
    };
    writeFileSync(join(dir, "config.json"), JSON.stringify(config));
    const manifest = [{ Config: "config.json", RepoTags: [image.name], Layers: files }];
    writeFileSync(join(dir, "manifest.json"), JSON.stringify(manifest));
    await tar(["manifest.json", "config.json", ...files], dir, archive);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function layerArguments({ at, exclude = [], keepLinks }: Layer): string[] {
  return [
    "--format=gnu",
    // The same files give the same digest, so that images share their first layers.
    "--sort=name",
    "--mtime=@0",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    "--hard-dereference",
    ...(keepLinks ? [] : ["--dereference"]),
    ...(at ? [`--transform=s,^,${at},S`] : []),
    ...exclude.map((pattern) => `--exclude=${pattern}`),
  ];
}

async function tar(what: readonly string[], from: string, to: string): Promise<void> {
  await promisify(execFile)("tar", ["--create", "--file", to, "--directory", from, ...what]);
}

async function sha256(file: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(file, { highWaterMark: 1 << 20 }), hash);
  return hash.digest("hex");
}
