/** Limits in time, on a machine that may have too much to do. */
import { monitorEventLoopDelay } from "node:perf_hooks";

/** So many programs and turns of a loop are waited for in a row. */
const TURNS = 20;

/** Watches how late this program's own timers are, from now on. What it returns
 * gives the limit (ms) that holds here: `limit` where there is room, and more by
 * what the machine has been late. */
export function watchLateness() {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  return (limit) => limit + (TURNS * delay.max) / 1e6;
}
