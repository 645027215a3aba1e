import { randomBytes } from "node:crypto";
import { closeSync, existsSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";

/** Where an application's image and its key are kept: the image on the node's storage, the key in memory alone. */
export class ImageStore {
  readonly image: string;
  readonly key: string;
  readonly #folder: string;

  /**
   * @param folder a volume on storage, of the pod
   * @param keyFolder a memory-backed volume that only the sidecar mounts
   */
  constructor(folder: string, keyFolder: string) {
    this.#folder = folder;
    this.image = join(folder, "image");
    this.key = join(keyFolder, "key");
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#folder);
    return bavail * bsize;
  }

  get isComplete(): boolean {
    return existsSync(this.image) && existsSync(this.key);
  }

  /** Makes a key for the next image; one key never serves two, as the nonces begin anew. */
  renewKey(): void {
    this.clear();
    const file = openSync(this.key, "wx", 0o600);
    try {
      writeSync(file, randomBytes(32));
    } finally {
      closeSync(file);
    }
  }

  /** Removes both; without its key an image is noise. */
  clear(): void {
    rmSync(this.key, { force: true });
    rmSync(this.image, { force: true });
  }
}
