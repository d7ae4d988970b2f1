/**
 * The mall's pulse: how far the read models are, heard on every page, and what
 * follows from it. It keeps the connection open, so that how it stands is known
 * everywhere.
 */
import { useEffect, useState } from "preact/hooks";
import { mall, soon } from "./mall";
import { PulseDocument, type PulseSubscription } from "./operations";

export type Projection = PulseSubscription["projectionsChanged"][number];

export interface Pulse {
  readonly projections: readonly Projection[];
  /** Up to where the ledger is known. */
  readonly head: number;
  /** Messages a second, the last seconds one by one. */
  readonly rates: readonly number[];
  /** How many messages the read models were behind, second by second. */
  readonly lags: readonly number[];
}

/** How many seconds are remembered. */
const MEMORY = 120;

let pulse: Pulse = { projections: [], head: 0, rates: [], lags: [] };
const listeners = new Set<(pulse: Pulse) => void>();

function tell() {
  for (const listener of [...listeners]) listener(pulse);
}

async function listen() {
  for (;;) {
    try {
      for await (const { data } of mall.subscribe(PulseDocument)) {
        const projections = data?.projectionsChanged ?? [];
        const head = Math.max(...projections.map(({ position, lag }) => Number(position) + lag), 0);
        pulse = { ...pulse, projections, head };
        soon(tell);
      }
    } catch {
      // Not for everybody: without it the page knows less, and goes on.
    }
    await new Promise((resolve) => setTimeout(resolve, 10_000));
  }
}

function measure() {
  let before: { head: number; at: number } | null = null;
  setInterval(() => {
    const now = { head: pulse.head, at: performance.now() };
    if (before && before.head > 0) {
      const rate = ((now.head - before.head) * 1_000) / (now.at - before.at);
      const lag = Math.max(0, ...pulse.projections.map(({ lag }) => lag));
      pulse = {
        ...pulse,
        rates: [...pulse.rates, Math.max(0, rate)].slice(-MEMORY),
        lags: [...pulse.lags, lag].slice(-MEMORY),
      };
      soon(tell);
    }
    before = now;
  }, 1_000);
}

void listen();
measure();

export function usePulse(): Pulse {
  const [now, set] = useState(pulse);
  useEffect(() => {
    set(pulse);
    listeners.add(set);
    return () => void listeners.delete(set);
  }, []);
  return now;
}

/** Messages a second over the last few seconds. */
export function rateNow({ rates }: Pulse): number {
  const last = rates.slice(-5);
  return last.length ? last.reduce((sum, rate) => sum + rate, 0) / last.length : 0;
}
