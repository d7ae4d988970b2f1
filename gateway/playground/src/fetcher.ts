/** How the editor reaches the mall: questions by HTTP, subscriptions as watches. */
import type { Fetcher, FetcherParams, FetcherOpts } from "@graphiql/toolkit";
import { getOperationAST, parse } from "graphql";
import { stop, watch } from "./live";
import { url } from "./mall";
import { token } from "./token";

export interface Answer {
  readonly data?: unknown;
  readonly errors?: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[];
}

type Listener = (operation: string, answer: Answer) => void;
const listeners = new Set<Listener>();

/** Tells every answer to a query or a mutation that has a name. */
export function onAnswer(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Which tab is looked at, as the editor last said. */
let tab: string | undefined;
export function tabIs(id: string | undefined): void {
  tab = id;
}

/** Has what the editor runs now go on by itself: the editor is about to show something else. */
export function letGo(): void {
  held?.();
}
let held: (() => void) | undefined;

export const fetcher: Fetcher = (parameters: FetcherParams, options?: FetcherOpts) => {
  const document = options?.documentAST ?? parse(parameters.query);
  const operation = getOperationAST(document, parameters.operationName);
  return operation?.operation === "subscription" ? subscribe(parameters) : ask(parameters, options);
};

async function ask(parameters: FetcherParams, options?: FetcherOpts): Promise<any> {
  const held = token.get();
  const response = await fetch(url, {
    method: "POST",
    headers: {
      accept: "application/graphql-response+json, application/json;q=0.9",
      "content-type": "application/json",
      ...(held === null ? {} : { authorization: `Bearer ${held}` }),
      ...options?.headers,
    },
    body: JSON.stringify(parameters),
  });
  const answer = (await response.json()) as Answer;
  for (const listener of [...listeners]) listener(parameters.operationName ?? "", answer);
  return answer;
}

/** A view of a watch. The watch goes on when the editor turns to another tab. */
function subscribe({ query, variables, operationName }: FetcherParams): AsyncIterableIterator<any> {
  const answers: object[] = [];
  let done = false;
  let wake = () => {};
  const id = watch(query, variables ?? {}, operationName ?? "subscription", (answer) => {
    if (answer === undefined) done = true;
    else answers.push(answer);
    wake();
  });
  let at: string | null | undefined = tab;
  held = () => (at = null);
  return {
    async next() {
      while (answers.length === 0 && !done) await new Promise<void>((resolve) => (wake = resolve));
      const value = answers.shift();
      return value ? { done: false, value } : { done: true, value: undefined };
    },
    async return() {
      done = true;
      answers.length = 0;
      wake();
      // The editor says the same whether its stop button was pressed or
      // another tab was opened; it tells the tab a moment later.
      setTimeout(() => tab === at && stop(id));
      return { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
