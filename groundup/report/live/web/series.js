// From a run's columns to lines that can be drawn: values in, values out.

/** Points {x, y, low, high} of a curve over `axis`, its y smoothed. */
export function curve(detail, name, axis, weight) {
  const xs = detail.columns[axis];
  const { mean, low, high } = detail.columns[name];
  const points = [];
  for (let index = 0; index < xs.length; index += 1) {
    if (xs[index] !== null && mean[index] !== null) {
      points.push({ x: xs[index], y: mean[index], low: low[index], high: high[index] });
    }
  }
  return smoothed(points, weight);
}

/** Points of an evaluation's figure. */
export function evaluated(detail, name, axis) {
  return detail.evaluations
    .filter((each) => typeof each[axis === "step" ? "step" : axis] === "number" && typeof each[name] === "number")
    .map((each) => ({ x: each[axis], y: each[name] }));
}

/** Around the validation losses of a run, the newest one's: where each earlier one lies relative to it, {x, low, high}. */
export function around(detail, axis) {
  const rows = new Map(detail.differences.compared.map((row) => [row.step, row]));
  const newest = detail.evaluations.at(-1);
  if (rows.size === 0 || newest.validation === null) return [];
  const band = detail.evaluations
    .filter((each) => rows.has(each.step))
    .map((each) => ({ x: each[axis], low: newest.validation - rows.get(each.step).high, high: newest.validation - rows.get(each.step).low }));
  return [...band, { x: newest[axis], low: newest.validation, high: newest.validation }].filter(({ x }) => typeof x === "number");
}

/** Exponential smoothing: each y is a mean in which a point counts `weight` times as much as the one after it. 0 changes nothing. */
export function smoothed(points, weight) {
  let total = 0;
  let share = 0;
  return points.map((point) => {
    total = weight * total + (1 - weight) * point.y;
    share = weight * share + (1 - weight); // without it the first points would be drawn towards 0
    return { ...point, y: total / share };
  });
}

/** The point of a line whose x is nearest; null where there is none. */
export function nearest(points, x) {
  if (points.length === 0) return null;
  let low = 0;
  let high = points.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle].x < x) low = middle;
    else high = middle;
  }
  return x - points[low].x < points[high].x - x ? points[low] : points[high];
}

/** Round numbers (1, 2 or 5 times a power of ten apart) within [low, high]. */
export function ticks(low, high, about) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / about;
  const power = 10 ** Math.floor(Math.log10(raw));
  const near = (factor) => Math.abs(Math.log((factor * power) / raw));
  const step = power * [1, 2, 5, 10].reduce((best, factor) => (near(factor) < near(best) ? factor : best));
  const found = [];
  for (let index = Math.ceil(low / step - 1e-9); index <= Math.floor(high / step + 1e-9); index += 1) {
    found.push(Number((index * step).toPrecision(12)));
  }
  return found;
}

/** Ticks for a logarithmic height: 1, 2 and 5 times powers of ten within [low, high]; only the powers where these are many, even steps where few. */
export function logTicks(low, high) {
  const found = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    found.push(...[1, 2, 5].map((factor) => Number((factor * 10 ** power).toPrecision(3))));
  }
  const within = found.filter((value) => value >= low && value <= high);
  if (within.length < 4) return ticks(low, high, 5);
  return within.length > 7 ? within.filter((value) => Number.isInteger(Number(Math.log10(value).toFixed(9)))) : within;
}

/** [low, high] of all that must be seen: the lines whole, of the raw values behind them all but the outermost hundredths. */
export function range(lines, log) {
  const fits = (value) => Number.isFinite(value) && (!log || value > 0);
  const drawn = lines.flatMap((line) => line.points.map((point) => point.y)).filter(fits);
  if (drawn.length === 0) return null;
  const raw = lines.flatMap((line) => line.points.flatMap((point) => [point.low, point.high])).filter(fits);
  raw.sort((one, two) => one - two);
  const kept = raw.slice(Math.floor(raw.length * 0.02), Math.ceil(raw.length * 0.98));
  const low = drawn.concat(kept).reduce((one, two) => Math.min(one, two));
  const high = drawn.concat(kept).reduce((one, two) => Math.max(one, two));
  if (log) return [low / 1.05, high * 1.05];
  const margin = high > low ? 0.05 * (high - low) : Math.abs(high) * 0.1 || 0.5;
  return [low - margin, high + margin];
}
