/** The mall that serves this page: questions, feeds, and how the connection stands. */
import { type ConnectionState, createClient, type Document, Refused } from "@mallbots/client";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { current, wanted } from "./token";

export const mall = createClient({
  url: new URL("/graphql", location.href).href,
  token: () => current(),
  backoff: { first: 200, most: 4_000 },
});

/** What a hook is given when there is nothing to ask yet. */
type Given<V> = V | null;

/** A sentence for people about what went wrong. */
export function problemOf(error: unknown): string {
  if (error instanceof Refused) {
    const [problem] = error.problems;
    if (error.code === "UNAUTHENTICATED" || error.code === "FORBIDDEN") wanted();
    const reason = problem?.extensions?.reason;
    return `${sentence(error.message)}${reason ? ` (${reason})` : ""}`;
  }
  return sentence(error instanceof Error ? error.message : String(error));
}

function sentence(text: string): string {
  const trimmed = text.trim().replace(/\.$/, "");
  return `${trimmed.charAt(0).toUpperCase()}${trimmed.slice(1)}.`;
}

export function ask<D, V extends object>(document: Document<D, V>, variables: V): Promise<D> {
  return mall.request(document, variables);
}

// ---- the connection

/** How often the connection was opened: what was read before may have changed while it was away. */
let opened = 0;
mall.onState((state) => {
  if (state.status === "open") opened += 1;
});

export function useConnection(): ConnectionState {
  const [state, set] = useState(mall.state);
  useEffect(() => {
    set(mall.state);
    return mall.onState(set);
  }, []);
  return state;
}

/** Counts how often the connection came back. */
export function useReturns(): number {
  const [returns, set] = useState(Math.max(0, opened - 1));
  useEffect(
    () =>
      mall.onState((state) => {
        if (state.status === "open") set(opened - 1);
      }),
    [],
  );
  return returns;
}

// ---- questions

export interface Answer<D> {
  readonly data: D | undefined;
  readonly problem: string | null;
  /** Asks again. */
  readonly again: () => void;
}

/**
 * Asks, and asks again when the variables or what `on` counts change, when the
 * connection comes back, and at intervals.
 */
export function useQuery<D, V extends object>(
  document: Document<D, V>,
  variables: Given<V>,
  { every, on }: { every?: number; on?: number } = {},
): Answer<D> {
  const key = JSON.stringify(variables);
  const [answer, set] = useState<{ of: string; data?: D; problem: string | null }>({ of: key, problem: null });
  const [asked, setAsked] = useState(0);
  const returns = useReturns();
  const again = useCallback(() => setAsked((asked) => asked + 1), []);
  useEffect(() => {
    if (variables === null) return;
    const gone = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const look = () =>
      mall
        .request(document, variables, { signal: gone.signal })
        .then((data) => set({ of: key, data, problem: null }))
        .catch((error: unknown) => {
          if (!gone.signal.aborted) set((before) => ({ ...before, problem: problemOf(error) }));
        })
        .finally(() => {
          if (every && !gone.signal.aborted) timer = setTimeout(look, every);
        });
    void look();
    return () => {
      gone.abort();
      clearTimeout(timer);
    };
  }, [document, key, asked, returns, every, on]);
  return { data: answer.data, problem: answer.problem, again };
}

// ---- feeds

/** Work that waits for the next frame, or a moment where there are no frames. */
const waiting = new Set<() => void>();
let timer: ReturnType<typeof setTimeout> | undefined;
let frame = 0;

function flush() {
  clearTimeout(timer);
  cancelAnimationFrame(frame);
  timer = undefined;
  const work = [...waiting];
  waiting.clear();
  for (const piece of work) piece();
}

/** Does something before the next picture is drawn: once, however often it is asked for. */
export function soon(work: () => void) {
  waiting.add(work);
  if (timer !== undefined) return;
  frame = requestAnimationFrame(flush);
  timer = setTimeout(flush, 250);
}

export interface Feed<S> {
  readonly state: S;
  /** Counts the changes, for those who remember what they made of the state. */
  readonly changes: number;
  readonly heard: boolean;
  readonly problem: string | null;
}

/**
 * Watches, and folds every item into a state, which `fold` changes in place.
 * Items of one frame are taken in together. Begins anew with other variables;
 * a lost connection is the client's matter, which goes on where it stopped.
 */
export function useFeed<D, V extends object, S>(
  document: Document<D, V>,
  variables: Given<V>,
  begin: () => S,
  fold: (state: S, data: D) => void,
): Feed<S> {
  const key = JSON.stringify(variables);
  const [, render] = useState(0);
  const feed = useRef<{ key: string; state: S; changes: number; heard: boolean; problem: string | null }>(null!);
  if (feed.current?.key !== key) {
    feed.current = { key, state: begin(), changes: 0, heard: false, problem: null };
  }
  const folding = useRef(fold);
  folding.current = fold;
  useEffect(() => {
    if (variables === null) return;
    const here = feed.current;
    const items: D[] = [];
    const take = () => {
      for (const item of items.splice(0)) folding.current(here.state, item);
      here.changes += 1;
      render((count) => count + 1);
    };
    const subscription = mall.subscribe(document, variables);
    const listen = async () => {
      try {
        for await (const { data, errors } of subscription) {
          here.heard = true;
          if (errors.length) here.problem = problemOf(new Refused(errors));
          if (data) items.push(data);
          soon(take);
        }
      } catch (error) {
        here.problem = problemOf(error);
        soon(take);
      }
    };
    void listen();
    return () => {
      waiting.delete(take);
      void subscription.return?.();
    };
  }, [document, key]);
  return feed.current;
}

/** The value, once it has been the same for a while: for what is typed, and what comes in crowds. */
export function useSettled<T>(value: T, wait: number): T {
  const [settled, set] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => set(value), wait);
    return () => clearTimeout(timer);
  }, [value, wait]);
  return settled;
}

/** The value, at most once in a while: for questions that follow what moves all the time. */
export function usePaced<T>(value: T, pace: number): T {
  const [paced, set] = useState(value);
  const last = useRef(0);
  useEffect(() => {
    const wait = Math.max(0, last.current + pace - Date.now());
    const timer = setTimeout(() => {
      last.current = Date.now();
      set(value);
    }, wait);
    return () => clearTimeout(timer);
  }, [value, pace]);
  return paced;
}
