/**
 * What is watched: each subscription with all its items.
 *
 * A watch belongs to the page, not to the tab it was started from: it goes on
 * when another tab is looked at, and it survives the connection.
 */
import type { ConnectionState, Subscription } from "@mallbots/client";
import { mall } from "./mall";
import { Store } from "./store";
import { token } from "./token";

export interface Watch {
  readonly id: number;
  readonly name: string;
  readonly status: "live" | "stopped" | "ended" | "failed";
  readonly problem: string | null;
  readonly count: number;
  /** Where it goes on. */
  readonly cursor: string | null;
}

export interface Entry {
  readonly key: number;
  readonly watch: number;
  readonly name: string;
  /** When it arrived, in milliseconds since 1970. */
  readonly at: number;
  readonly cursor: string | null;
  /** What it says, in a line. */
  readonly summary: string;
  /** Where what it is about stands. */
  readonly state: string | null;
  readonly data: unknown;
}

/** As many items are kept. */
const MOST = 1000;

export const watches = new Store<readonly Watch[]>([]);
/** Newest first. */
export const entries = new Store<readonly Entry[]>([]);
export const connection = new Store<ConnectionState>(mall.state);
mall.onState((state) => connection.set(state));

interface Source {
  readonly query: string;
  readonly variables: Record<string, unknown>;
  readonly subscription: Subscription<Record<string, unknown>>;
}

const sources = new Map<number, Source>();
let lastKey = 0;

function change(id: number, to: Partial<Watch> | ((watch: Watch) => Partial<Watch>)): void {
  watches.update((all) =>
    all.map((watch) => (watch.id === id ? { ...watch, ...(typeof to === "function" ? to(watch) : to) } : watch)),
  );
}

/** Watches from now on; `show` is given each answer as it comes, and undefined at the end. */
export function watch(
  query: string,
  variables: Record<string, unknown>,
  name: string,
  show: (answer: object | undefined) => void = () => {},
): number {
  const id = ++lastKey;
  watches.update((all) => [...all, { id, name, status: "live", problem: null, count: 0, cursor: null }]);
  void follow(id, query, variables, null, show);
  return id;
}

async function follow(
  id: number,
  query: string,
  variables: Record<string, unknown>,
  resume: string | null,
  show: (answer: object | undefined) => void,
): Promise<void> {
  const subscription = mall.subscribe<Record<string, unknown>>(query, variables, { resume });
  sources.set(id, { query, variables, subscription });
  change(id, { status: "live", problem: null });
  try {
    for await (const { data, cursor, errors } of subscription) {
      const name = watches.get().find((watch) => watch.id === id)?.name ?? "";
      const entry = { key: ++lastKey, watch: id, name, at: Date.now(), cursor, ...told(data), data };
      entries.update((all) => [entry, ...all].slice(0, MOST));
      change(id, (watch) => ({ count: watch.count + 1, cursor: cursor ?? watch.cursor }));
      show({ data, ...(errors.length ? { errors } : {}), ...(cursor ? { extensions: { cursor } } : {}) });
    }
    change(id, (watch) => (watch.status === "live" ? { status: "ended" } : {}));
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    change(id, { status: "failed", problem });
    show({ errors: (error as { problems?: unknown }).problems ?? [{ message: problem }] });
  }
  show(undefined);
}

export function stop(id: number): void {
  change(id, { status: "stopped" });
  void sources.get(id)?.subscription.return?.();
}

// With another token the mall may show something else: what is watched is
// stopped, and so the connection ends that was opened with the old one.
token.subscribe(() => {
  for (const { id, status } of watches.get()) if (status === "live") stop(id);
});

/** Goes on behind the last item that came. */
export function goOn(id: number): void {
  const source = sources.get(id);
  const cursor = watches.get().find((watch) => watch.id === id)?.cursor ?? null;
  if (source) void follow(id, source.query, source.variables, cursor, () => {});
}

export function clear(): void {
  entries.set([]);
  watches.update((all) => all.filter(({ status }) => status === "live").map((watch) => ({ ...watch, count: 0 })));
}

function told(data: Record<string, unknown> | null): { summary: string; state: string | null } {
  const item = data && Object.values(data)[0];
  if (typeof item !== "object" || item === null || Array.isArray(item)) {
    return { summary: JSON.stringify(item), state: null };
  }
  const { title, text, name, step, id, status, state } = item as Record<string, unknown>;
  const words = [title, text, name, (step as { name?: unknown } | null)?.name, id];
  const stands = [status, state].find((word) => typeof word === "string");
  return {
    summary: String(words.find((word) => typeof word === "string") ?? JSON.stringify(item)),
    state: stands === undefined ? null : String(stands),
  };
}
