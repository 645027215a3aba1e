import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { SidecarError } from "../sidecar-error.ts";

/**
 * Whether the kernel may write to a process's memory by itself through io_uring: with buffers fixed in RAM, threads of its
 * own, or a polling thread. A ring that only collects system calls, as Node opens one, does none of that.
 *
 * @throws SidecarError PtraceDenied when its files cannot be seen
 */
export function hasKernelIo(proc: string, pid: number): boolean {
  const folder = join(proc, String(pid));
  try {
    for (const thread of readdirSync(join(folder, "task")))
      if (/^iou-/.test(read(join(folder, "task", thread, "comm")))) return true;
    for (const file of readdirSync(join(folder, "fd"))) {
      if (!isRing(join(folder, "fd", file))) continue;
      const info = read(join(folder, "fdinfo", file));
      if (/^UserBufs:\s*[1-9]/m.test(info) || /^SqThread:\s*\d/m.test(info)) return true;
    }
    return false;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH") return false; // gone; the freeze finds out
    if (code === "EACCES" || code === "EPERM")
      throw new SidecarError("PtraceDenied", `the files of process ${pid} cannot be seen; it runs as another user`);
    throw error;
  }
}

function isRing(path: string): boolean {
  try {
    return readlinkSync(path) === "anon_inode:[io_uring]";
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false; // closed meanwhile
    throw error;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}
