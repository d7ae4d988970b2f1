/** Small charts of what was measured a moment ago. */
import type { ComponentChildren } from "preact";

const WIDTH = 240;
const HEIGHT = 48;

/** A line of the last values, filled below. */
export function Spark({ values, label }: { values: readonly number[]; label: string }) {
  const most = Math.max(1e-9, ...values);
  const step = WIDTH / Math.max(1, values.length - 1);
  const points = values.map((value, index) => {
    const y = HEIGHT - 3 - (value / most) * (HEIGHT - 8);
    return `${(index * step).toFixed(1)},${y.toFixed(1)}`;
  });
  const [, lastY] = (points.at(-1) ?? `0,${HEIGHT - 3}`).split(",");
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={label}>
      {points.length > 1 && (
        <>
          <polygon points={`0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`} />
          <polyline points={points.join(" ")} />
          <line class="now" x1={WIDTH} x2={WIDTH} y1={lastY} y2={HEIGHT} />
        </>
      )}
    </svg>
  );
}

/** A number with its history. */
export function Gauge(props: {
  title: string;
  value: ComponentChildren;
  unit?: string;
  values: readonly number[];
  hint?: ComponentChildren;
}) {
  return (
    <div class="gauge">
      <p class="caption">{props.title}</p>
      <p class="reading">
        <b>{props.value}</b> {props.unit && <span class="faint">{props.unit}</span>}
      </p>
      <Spark values={props.values} label={`${props.title}, over the last minutes`} />
      <p class="faint small">{props.hint}</p>
    </div>
  );
}

/** The value below which a share of the values is. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}
