/** Waiting, always with an end. */

/** Generous: a deadline ends what hangs, it does not measure. */
export const PATIENCE = 30_000;

export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Until `condition` (may be async) returns something truthy, which is returned.
 * What it throws counts as "not yet" and is told at the end. */
export async function until(
  condition,
  { timeout = PATIENCE, every = 20, what = String(condition) } = {},
) {
  const end = Date.now() + timeout;
  for (;;) {
    let last;
    try {
      last = await condition();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= end) {
      const cause = last instanceof Error ? last : undefined;
      throw new Error(`not within ${timeout} ms: ${what}; last: ${last}`, { cause });
    }
    await pause(every);
  }
}

/** `promise`, or an error after `timeout`. */
export async function within(promise, timeout = PATIENCE, what = "promise") {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(reject, timeout, new Error(`not within ${timeout} ms: ${what}`));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
