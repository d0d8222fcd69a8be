// Figures as text. A missing value is an en dash.

import { LANGUAGE, say } from "./say.js";

const MISSING = "–";
const whole = new Intl.NumberFormat(LANGUAGE, { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat(LANGUAGE, { notation: "compact", maximumSignificantDigits: 3 });
const plain = new Intl.NumberFormat(LANGUAGE, { maximumSignificantDigits: 4, useGrouping: false });

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** "1,234" */
export const count = (value) => (isNumber(value) ? whole.format(value) : MISSING);

/** "1.2M" */
export const short = (value) => (isNumber(value) ? compact.format(value) : MISSING);

/** Four digits, whatever the size: "4.443", "0.00003", "2e-7". */
export function figure(value) {
  if (!isNumber(value)) return MISSING;
  if (value !== 0 && Math.abs(value) < 1e-4) return value.toExponential(2).replace(/\.?0+e/, "e");
  if (Math.abs(value) >= 1e4) return whole.format(value);
  return plain.format(value);
}

/** "12 s", "2 min 05 s", "1 h 02 min", "3 d 4 h" */
export function duration(seconds) {
  if (!isNumber(seconds)) return MISSING;
  const all = Math.round(seconds);
  if (all < 60) return `${all} s`;
  if (all < 3600) return `${Math.floor(all / 60)} min ${String(all % 60).padStart(2, "0")} s`;
  const minutes = Math.round(all / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

/** "bits_per_byte:prose" as "bits per byte: prose" */
export const spoken = (name) => name.split(":").map((part) => say(part.replaceAll("_", " "))).join(": ");

/** The state of a run, as a phrase. */
export function state(run) {
  const quiet = isNumber(run.quiet_s) && run.quiet_s >= 60 ? duration(run.quiet_s) : "";
  if (run.status === "running") return quiet ? say("running, no output for {time}", { time: quiet }) : say("running");
  if (run.status === "stopped") return quiet ? say("stopped, no output for {time}", { time: quiet }) : say("stopped");
  return run.status === "waiting" ? say("waiting to start") : say(run.status);
}
