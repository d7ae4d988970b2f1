/** The small parts that pages are made of. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { moment, time, words } from "./format";
import { prefixOf, shortId } from "./ids";
import { problemOf } from "./mall";

/** How good or bad a state is: all that colors tell. */
export type Tone = "quiet" | "busy" | "good" | "warn" | "bad";

const TONES: Record<string, Tone> = {
  PENDING: "busy",
  APPROVED: "busy",
  IN_PROGRESS: "busy",
  READY: "warn",
  COMPLETED: "good",
  REJECTED: "bad",
  CANCELED: "quiet",
  AVAILABLE: "warn",
  ASSIGNED: "busy",
  ACTIVE: "busy",
  OFFLINE: "quiet",
  IDLE: "good",
  RUNNING: "busy",
  COMPENSATING: "warn",
  COMPENSATED: "quiet",
  STUCK: "bad",
  WAITING: "quiet",
  SUCCEEDED: "good",
  REFUSED: "bad",
  RETRYING: "warn",
  SKIPPED: "quiet",
  AUTHORIZED: "busy",
  CONFIRMED: "busy",
  CAPTURED: "good",
  RELEASED: "quiet",
  REFUNDED: "quiet",
  PAID: "good",
  DONE: "good",
  REQUESTED: "busy",
  FAILED: "bad",
  STANDBY: "quiet",
  LOOKING: "busy",
  FAILING: "warn",
  HALTED: "bad",
  DISCONNECTED: "warn",
  EVENT: "good",
  COMMAND: "busy",
  REPLY: "quiet",
};

export function toneOf(state: string): Tone {
  return TONES[state] ?? "quiet";
}

export function Badge({ state, children }: { state: string; children?: ComponentChildren }) {
  return <span class={`badge ${toneOf(state)}`}>{children ?? words(state)}</span>;
}

/** An id, short, and where it leads. */
export function Id({ id, to }: { id: string; to?: string }) {
  const text = (
    <>
      <span class="prefix">{prefixOf(id)}</span>
      {shortId(id)}
    </>
  );
  return to ? (
    <a class="id" href={to} title={id}>
      {text}
    </a>
  ) : (
    <code class="id" title={id}>
      {text}
    </code>
  );
}

export function At({ at, long = false }: { at: string; long?: boolean }) {
  return (
    <time dateTime={at} title={moment(at)}>
      {long ? moment(at) : time(at)}
    </time>
  );
}

export function Problem({ text }: { text: string | null | undefined }) {
  return text ? (
    <p class="problem" role="alert">
      {text}
    </p>
  ) : null;
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

/** A part of a page, with its heading. */
export function Panel(props: {
  title: ComponentChildren;
  children: ComponentChildren;
  side?: ComponentChildren;
  class?: string;
}) {
  const id = useId();
  return (
    <section class={`panel ${props.class ?? ""}`} aria-labelledby={id}>
      <header>
        <h2 id={id}>{props.title}</h2>
        {props.side}
      </header>
      {props.children}
    </section>
  );
}

/** What a deed is doing: whether it is under way, and what was wrong with the last one. */
export interface Deed {
  readonly busy: boolean;
  readonly problem: string | null;
  /** Does it, unless one is under way already. Whether it was done. */
  readonly run: (work: () => Promise<unknown>) => Promise<boolean>;
}

export function useDeed(): Deed {
  const [state, set] = useState<{ busy: boolean; problem: string | null }>({ busy: false, problem: null });
  const busy = useRef(false);
  const run = async (work: () => Promise<unknown>) => {
    if (busy.current) return false;
    busy.current = true;
    set({ busy: true, problem: null });
    try {
      await work();
      set({ busy: false, problem: null });
      return true;
    } catch (error) {
      set({ busy: false, problem: problemOf(error) });
      return false;
    } finally {
      busy.current = false;
    }
  };
  return { ...state, run };
}

export function Field(props: {
  label: string;
  value: string;
  onInput: (value: string) => void;
  hint?: string;
  type?: "text" | "search" | "tel" | "datetime-local";
  inputMode?: "decimal";
  autocomplete?: "off" | "name";
  pattern?: string;
  placeholder?: string;
  maxLength?: number;
  required?: boolean;
  disabled?: boolean;
  spellcheck?: boolean;
}) {
  const { label, value, onInput, hint, type = "text", ...rest } = props;
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        value={value}
        onInput={(event) => onInput(event.currentTarget.value)}
        // Which attributes go with which type is up to those who give them.
        {...({ type, ...rest } as object)}
        aria-describedby={hint ? `${id}-hint` : undefined}
      />
      {hint && (
        <small id={`${id}-hint`} class="faint">
          {hint}
        </small>
      )}
    </div>
  );
}

/** Buttons of which one is chosen. */
export function Choice<T extends string>(props: {
  label: string;
  options: readonly (readonly [T, ComponentChildren])[];
  value: T;
  onChange: (value: T) => void;
}) {
  return (
    <div class="choice" role="group" aria-label={props.label}>
      {props.options.map(([value, text]) => (
        <button key={value} type="button" aria-pressed={value === props.value} onClick={() => props.onChange(value)}>
          {text}
        </button>
      ))}
    </div>
  );
}

/** A window over the page, as long as it is in the tree. */
export function Dialog(props: { title: string; onClose: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
  }, []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      onClose={props.onClose}
      onClick={(event) => {
        if (event.target === dialog.current) dialog.current?.close();
      }}
    >
      <div class="window">
        <header>
          <h2 id={id}>{props.title}</h2>
          <button type="button" class="plain" aria-label="Close" onClick={() => dialog.current?.close()}>
            ✕
          </button>
        </header>
        {props.children}
      </div>
    </dialog>
  );
}

export function Meter({ value, label }: { value: number; label: string }) {
  const percent = Math.round(Math.min(1, Math.max(0, value)) * 100);
  return (
    <span class="meter" role="progressbar" aria-label={label} aria-valuenow={percent} aria-valuemin={0} aria-valuemax={100}>
      <span style={{ width: `${percent}%` }} />
    </span>
  );
}

/** JSON, with lines and indents. */
export function pretty(json: string): string {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

/** JSON to read, its keys apart from its values. */
export function Json({ text, label }: { text: string; label: string }) {
  const parts = pretty(text).split(/("(?:[^"\\]|\\.)*"\s*:)/g);
  return (
    <pre class="json" tabIndex={0} role="region" aria-label={label}>
      {parts.map((part, index) => (index % 2 ? <span class="key">{part}</span> : part))}
    </pre>
  );
}
