/**
 * A saga as a picture: its steps from left to right, what each came to, and
 * below them the way back, drawn from where it turned to where it began. On a
 * narrow page it goes from the top down.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import { duration, instant, words } from "./format";
import type { SagaPictureFragment, SagaState, SagaStepState, StepFragment } from "./operations";
import { Badge, toneOf } from "./ui";

type Step = StepFragment;

/** What is undone for a step when a saga turns back, by what the step had done. */
const UNDOING: Record<string, string> = {
  PlaceOrder: "Reject order",
  CreateShoppingList: "Cancel list",
  ConfirmPayment: "Release payment",
};

const NAMES: Record<string, string> = { create_order: "Accepting the order", cancel_order: "Calling the order off" };

const SAID: Record<SagaState, string> = {
  RUNNING: "under way",
  COMPENSATING: "walking back",
  COMPLETED: "arrived",
  COMPENSATED: "back where it began",
  STUCK: "stuck, waits for an operator",
};

/** Which icon stands for a state. */
const ICONS: Record<SagaStepState, string> = {
  WAITING: "",
  RUNNING: "M-5 0a5 5 0 0 1 5-5",
  SUCCEEDED: "M-5 0.5l3.5 3.5l6.5-7.5",
  REFUSED: "M-4-4l8 8M4-4l-8 8",
  RETRYING: "M0-5.5v5.5l4 2.5",
  COMPENSATING: "M5 0h-10m4-4l-4 4l4 4",
  COMPENSATED: "M5 0h-10m4-4l-4 4l4 4",
  SKIPPED: "M-4.5 0h9",
  STUCK: "M0-6v7M0 4.5v0.6",
};

/** The time now, as long as something is under way. */
function useNow(running: boolean): number {
  const [now, set] = useState(Date.now());
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => set(Date.now()), 250);
    return () => clearInterval(timer);
  }, [running]);
  return now;
}

/** How wide the element is. */
function useWidth() {
  const element = useRef<HTMLDivElement>(null);
  const [width, set] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => entry && set(Math.round(entry.contentRect.width)));
    if (element.current) {
      set(element.current.clientWidth);
      observer.observe(element.current);
    }
    return () => observer.disconnect();
  }, []);
  return { element, width };
}

/** What is written below a step. */
function notes(step: Step, now: number): string[] {
  const lines: string[] = [];
  const tries = step.attempts > 1 ? `try ${step.attempts}` : "";
  const took =
    step.startedAt && step.endedAt && step.state !== "SKIPPED"
      ? instant(step.endedAt) - instant(step.startedAt)
      : step.startedAt && ["RUNNING", "COMPENSATING"].includes(step.state)
        ? Math.max(0, now - instant(step.startedAt))
        : null;
  const parts = [tries, took !== null && took > 0 ? duration(took) : ""].filter(Boolean);
  if (parts.length) lines.push(parts.join(" · "));
  if (step.nextAttemptAt) {
    const wait = instant(step.nextAttemptAt) - now;
    lines.push(wait > 0 ? `again in ${duration(Math.ceil(wait / 1000) * 1000)}` : "again now");
  }
  if (step.reason) lines.push(words(step.reason));
  return lines;
}

/** What a step has become, in words. */
function told(step: Step, now: number): string {
  return [`${words(step.name)}: ${words(step.state).toLowerCase()}`, ...notes(step, now)].join(", ");
}

export function Saga({ saga }: { saga: SagaPictureFragment }) {
  const now = useNow(saga.endedAt === null);
  const { element, width } = useWidth();
  const { steps } = saga;
  const turned = saga.state === "COMPENSATING" || saga.state === "COMPENSATED" || saga.refusal !== null;
  // Where it turned: the first step that was refused or passed over, or after the last.
  const refused = steps.findIndex(({ state }) => state === "REFUSED" || state === "SKIPPED");
  const turn = turned ? (refused === -1 ? steps.length - 1 : refused) : -1;
  const narrow = width > 0 && width < steps.length * 96;
  const took = saga.endedAt ? instant(saga.endedAt) - instant(saga.startedAt) : now - instant(saga.startedAt);

  return (
    <figure class="saga" ref={element}>
      <figcaption>
        <b>{NAMES[saga.name] ?? words(saga.name)}</b>
        <Badge state={saga.state}>{SAID[saga.state]}</Badge>
        {saga.refusal && <span class="small">because of {words(saga.refusal).toLowerCase()}</span>}
        <span class="faint small">{duration(Math.max(0, took))}</span>
      </figcaption>
      {width > 0 &&
        (narrow ? (
          <Down {...{ steps, turn, now, width }} />
        ) : (
          <Across {...{ steps, turn, now, width: Math.min(width, 1_120) }} />
        ))}
      <ol class="unseen">
        {steps.map((step) => (
          <li key={step.name}>{told(step, now)}</li>
        ))}
      </ol>
    </figure>
  );
}

interface Drawn {
  steps: readonly Step[];
  /** The step at which the saga turned back; −1 if it did not. */
  turn: number;
  now: number;
  width: number;
}

const RADIUS = 15;

function Node({ step, x, y }: { step: Step; x: number; y: number }) {
  const moving = step.state === "RUNNING" || step.state === "COMPENSATING" || step.state === "RETRYING";
  return (
    <g class={`node ${toneOf(step.state)} ${step.state.toLowerCase()}`} transform={`translate(${x} ${y})`}>
      {moving && <circle class="halo" r={RUNNING_HALO} />}
      <circle r={RADIUS} />
      <path d={ICONS[step.state]} />
    </g>
  );
}

const RUNNING_HALO = RADIUS + 5;

/** Whether the way from a step to the next was walked. */
function walked(step: Step, next: Step): boolean {
  return step.startedAt !== null && next.state !== "WAITING" && !(next.state === "SKIPPED" && next.attempts === 0);
}

/** Whether a step is undone, was, or is to be. */
function undone(step: Step): "done" | "doing" | "due" | null {
  if (step.state === "COMPENSATED") return "done";
  if (step.state === "COMPENSATING" || step.state === "RETRYING" || step.state === "STUCK") return "doing";
  return step.state === "SUCCEEDED" && step.name in UNDOING ? "due" : null;
}

/** The steps that are undone, last first, with how far each is. */
function wayBack(steps: readonly Step[], turn: number) {
  return steps
    .map((step, index) => ({ step, index, how: undone(step) }))
    .filter(({ step, index, how }) => how && index <= turn && step.name in UNDOING)
    .reverse();
}

function Across({ steps, turn, now, width }: Drawn) {
  const gap = width / steps.length;
  const x = (index: number) => gap * (index + 0.5);
  const y = 26;
  const lines = steps.map((step) => notes(step, now));
  const below = y + 54 + Math.max(0, ...lines.map((notes) => notes.length)) * 15;
  const back = turn >= 0 ? wayBack(steps, turn) : [];
  const lane = below + 22;
  const height = turn >= 0 ? lane + 40 : below;
  const size = gap > 130 ? 17 : 14;
  return (
    <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} aria-hidden="true">
      {steps.slice(1).map((step, index) => (
        <line
          key={step.name}
          class={walked(steps[index]!, step) ? "way walked" : "way"}
          x1={x(index) + RADIUS + 6}
          x2={x(index + 1) - RADIUS - 6}
          y1={y}
          y2={y}
        />
      ))}
      {steps.map((step, index) => (
        <g key={step.name}>
          <Node step={step} x={x(index)} y={y} />
          <text class="name" x={x(index)} y={y + 36}>
            {fit(words(step.name), size + 3)}
          </text>
          {lines[index]!.map((line, number) => (
            <text key={number} class={`note ${noteTone(step, line)}`} x={x(index)} y={y + 53 + number * 15}>
              {fit(line, size + 5)}
            </text>
          ))}
        </g>
      ))}
      {turn >= 0 && (
        <g class="back">
          {back.map(({ step, index, how }, number) => {
            const from = number === 0 ? x(turn) : x(back[number - 1]!.index);
            const to = x(index);
            const start = number === 0 ? `M${from} ${below - 2}V${lane - 10}Q${from} ${lane} ${from - 10} ${lane}` : `M${from - 8} ${lane}`;
            return (
              <g key={step.name} class={how!}>
                <path d={`${start}H${to + 8}`} />
                <path class="tip" d={`M${to + 14} ${lane - 5}l-7 5l7 5`} />
                <circle cx={to} cy={lane} r="4.5" />
                <text class="note" x={to} y={lane + 22}>
                  {UNDOING[step.name]}
                </text>
              </g>
            );
          })}
        </g>
      )}
    </svg>
  );
}

function Down({ steps, turn, now, width }: Drawn) {
  const row = 58;
  const x = 26;
  const y = (index: number) => 24 + row * index;
  const back = turn >= 0 ? wayBack(steps, turn) : [];
  const lane = width - 22;
  return (
    <svg width={width} height={row * steps.length} viewBox={`0 0 ${width} ${row * steps.length}`} aria-hidden="true">
      {steps.slice(1).map((step, index) => (
        <line
          key={step.name}
          class={walked(steps[index]!, step) ? "way walked" : "way"}
          x1={x}
          x2={x}
          y1={y(index) + RADIUS + 5}
          y2={y(index + 1) - RADIUS - 5}
        />
      ))}
      {steps.map((step, index) => (
        <g key={step.name} class="left">
          <Node step={step} x={x} y={y(index)} />
          <text class="name" x={x + 30} y={y(index) - 2}>
            {words(step.name)}
          </text>
          <text class={`note ${noteTone(step, "")}`} x={x + 30} y={y(index) + 15}>
            {fit(notes(step, now).join(" · ") || words(step.state).toLowerCase(), (width - 150) / 6.4)}
          </text>
        </g>
      ))}
      {turn >= 0 && (
        <g class="back right">
          {back.map(({ step, index, how }, number) => {
            const from = number === 0 ? y(turn) : y(back[number - 1]!.index);
            const to = y(index);
            const start = number === 0 ? `M${lane - 14} ${from}Q${lane} ${from} ${lane} ${from - 10}` : `M${lane} ${from - 8}`;
            return (
              <g key={step.name} class={how!}>
                {from - 10 > to + 8 && <path d={`${start}V${to + 8}`} />}
                <path class="tip" d={`M${lane - 5} ${to + 14}l5-7l5 7`} />
                <circle cx={lane} cy={to} r="4.5" />
                <text class="note" x={lane - 12} y={to + 4}>
                  {UNDOING[step.name]}
                </text>
              </g>
            );
          })}
        </g>
      )}
    </svg>
  );
}

function noteTone(step: Step, line: string): string {
  if (step.state === "REFUSED" || step.state === "STUCK") return "bad";
  return step.state === "RETRYING" || line.startsWith("again") ? "warn" : "";
}

function fit(text: string, most: number): string {
  const limit = Math.max(8, Math.floor(most));
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
}

/** The same in a line: a dot for each step. */
export function Dots({ steps }: { steps: readonly { name: string; state: SagaStepState }[] }) {
  return (
    <span class="dots" role="img" aria-label={steps.map(({ name, state }) => `${words(name)} ${words(state).toLowerCase()}`).join(", ")}>
      {steps.map(({ name, state }) => (
        <i key={name} class={toneOf(state)} title={`${words(name)}: ${words(state).toLowerCase()}`} />
      ))}
    </span>
  );
}
