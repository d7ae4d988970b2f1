/**
 * Speaks to a mall: queries and mutations by HTTP, subscriptions over one
 * WebSocket.
 *
 * A subscription outlives its connection. The cursor of each item is kept, and
 * when the connection is back the feed goes on behind it: nothing is missed,
 * nothing comes twice. Mutations carry an idempotency key, so that one whose
 * answer was lost can be sent again.
 */
import {
  createClient as createSocket,
  type Client as Socket,
  type FormattedExecutionResult,
} from "graphql-ws";
import type { DocumentTypeDecoration } from "@graphql-typed-document-node/core";

/** A document as text, typed or not. */
export type Document<Data, Variables> =
  | string
  | (DocumentTypeDecoration<Data, Variables> & { toString(): string });

/** What a subscription or an operation is given. */
export type Variables = { readonly [name: string]: unknown };

export interface ClientOptions {
  /** The mall's GraphQL, such as `http://127.0.0.1:8080/graphql`. */
  readonly url: string;
  /**
   * Gives the token to come with, or none. Asked before each connection and
   * each request; `refused` is the token that the server would not take, if
   * there was one. Whoever has no other says so with `null`, and what was
   * under way fails.
   */
  readonly token?: (refused: string | null) => string | null | Promise<string | null>;
  /** How to open a socket, where the platform has no `WebSocket`: `ws` in Node before 22. */
  readonly webSocket?: unknown;
  /** The first and the longest wait between two attempts, in milliseconds. */
  readonly backoff?: { readonly first: number; readonly most: number };
  /** How often a request is tried before it fails. Subscriptions go on trying. */
  readonly attempts?: number;
  /** How long the connection may be silent before it is asked, and then given up, in milliseconds. */
  readonly patience?: number;
}

/** How the connection of the subscriptions stands. */
export type ConnectionState =
  | { readonly status: "idle" }
  | { readonly status: "connecting"; readonly attempt: number }
  | { readonly status: "open" }
  /** Lost; tried again at `until`, in milliseconds since 1970. */
  | { readonly status: "waiting"; readonly attempt: number; readonly until: number }
  | { readonly status: "closed" };

/** An item of a feed. */
export interface Item<Data> {
  readonly data: Data;
  /** Its place in the feed; feeds that only tell the latest value have none. */
  readonly cursor: string | null;
  readonly errors: readonly GraphQLProblem[];
}

/** An error as the mall answers it. */
export interface GraphQLProblem {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly extensions?: {
    readonly code?: string;
    readonly reason?: string;
    readonly field?: string;
    readonly requestId?: string;
    readonly [name: string]: unknown;
  };
}

/** The mall said no. */
export class Refused extends Error {
  override readonly name = "Refused";
  constructor(readonly problems: readonly GraphQLProblem[]) {
    super(problems.map((problem) => problem.message).join("; ") || "refused without a word");
  }
  /** The first error's code, of the closed set in docs/errors.md. */
  get code(): string {
    return this.problems[0]?.extensions?.code ?? "INTERNAL_SERVER_ERROR";
  }
}

/** The mall could not be reached, or it hung up for good. */
export class Disconnected extends Error {
  override readonly name = "Disconnected";
}

/** A feed: iterate over it, and break out of the loop or call `return` to end it. */
export interface Subscription<Data> extends AsyncIterableIterator<Item<Data>> {
  /** The place behind which a later `subscribe` goes on: that of the last item taken. */
  readonly cursor: string | null;
}

export interface SubscribeOptions {
  /** Goes on behind this place. */
  readonly resume?: string | null;
}

export interface RequestOptions {
  /** Names the attempt: the same key again is answered alike. Mutations get one by themselves. */
  readonly idempotencyKey?: string;
  readonly signal?: AbortSignal;
}

export interface Client {
  readonly state: ConnectionState;
  /** Tells each new state; returns how to stop listening. */
  onState(listener: (state: ConnectionState) => void): () => void;
  subscribe<Data = unknown, V extends object = Variables>(
    document: Document<Data, V>,
    variables?: V,
    options?: SubscribeOptions,
  ): Subscription<Data>;
  request<Data = unknown, V extends object = Variables>(
    document: Document<Data, V>,
    variables?: V,
    options?: RequestOptions,
  ): Promise<Data>;
  /** Ends every subscription and closes the connection. */
  close(): Promise<void>;
}

export function createClient(options: ClientOptions): Client {
  const backoff = options.backoff ?? { first: 250, most: 15_000 };
  const attempts = options.attempts ?? 5;
  const patience = options.patience ?? 20_000;

  // ---- who asks

  let refused: string | null = null;
  let lastToken: string | null = null;
  async function token(): Promise<string | null> {
    if (!options.token) return null;
    const given = await options.token(refused);
    if (refused !== null && (given === null || given === refused)) {
      throw new Disconnected("the token was refused, and there is no other");
    }
    refused = null;
    return (lastToken = given);
  }

  // ---- the connection

  let state: ConnectionState = { status: "idle" };
  const listeners = new Set<(state: ConnectionState) => void>();
  const become = (next: ConnectionState) => {
    if (state.status === "closed") return;
    state = next;
    for (const listener of [...listeners]) listener(state);
  };

  const feeds = new Set<() => void>();
  let attempt = 0;
  let deadline: ReturnType<typeof setTimeout> | undefined;
  const socket: Socket = createSocket({
    url: options.url.replace(/^http/, "ws"),
    webSocketImpl: options.webSocket,
    connectionParams: async () => {
      const given = await token();
      return given === null ? {} : { authorization: `Bearer ${given}` };
    },
    retryAttempts: Infinity,
    retryWait: async () => {
      const wait = delay(attempt++, backoff);
      become({ status: "waiting", attempt, until: Date.now() + wait });
      await sleep(wait);
    },
    // Which codes are final is known to graphql-ws; what is left is worth
    // trying again, except with a token that was refused and has no successor.
    shouldRetry: (error) => {
      if (error instanceof Disconnected) return false;
      if (closeCode(error) !== FORBIDDEN) return true;
      refused = lastToken;
      return options.token !== undefined;
    },
    keepAlive: patience,
    on: {
      connecting: () => become({ status: "connecting", attempt }),
      connected: () => {
        attempt = 0;
        become({ status: "open" });
      },
      ping: (received) => {
        if (!received) deadline = setTimeout(() => socket.terminate(), patience / 2);
      },
      pong: (received) => {
        if (received) clearTimeout(deadline);
      },
      closed: () => {
        clearTimeout(deadline);
        // A connection that never was closes after the next is waited for.
        if (state.status !== "waiting") become({ status: "idle" });
      },
    },
  });

  // ---- feeds

  function subscribe<Data, V extends object>(
    document: Document<Data, V>,
    variables?: V,
    { resume = null }: SubscribeOptions = {},
  ): Subscription<Data> {
    const query = document.toString();
    const takesAfter = /\$after\s*:/.test(query);
    let received = resume;
    let taken = resume;
    const items: Item<Data>[] = [];
    let end: { error: unknown } | null = null;
    let wake = () => {};

    // graphql-ws sends this object again whenever it connects: what it finds
    // in it then is behind the last item that came. `after` goes before
    // `extensions.resume`, so where it is a variable it has to move too.
    const payload = {
      query,
      get variables() {
        const given = { ...variables };
        return takesAfter && received !== null ? { ...given, after: received } : given;
      },
      get extensions() {
        return received === null ? {} : { resume: received };
      },
    };
    const finish = (error: unknown) => {
      end ??= { error };
      feeds.delete(stop);
      wake();
    };
    const unsubscribe = socket.subscribe<Data, { cursor?: string }>(payload, {
      next: (result) => {
        const item = itemOf<Data>(result);
        received = item.cursor ?? received;
        items.push(item);
        wake();
      },
      error: (error) => finish(failure(error)),
      complete: () => finish(null),
    });
    function stop() {
      items.length = 0;
      finish(null);
      unsubscribe();
    }
    feeds.add(stop);

    return {
      get cursor() {
        return taken;
      },
      async next(): Promise<IteratorResult<Item<Data>, undefined>> {
        while (items.length === 0 && !end) {
          await new Promise<void>((resolve) => {
            const before = wake;
            wake = () => {
              before();
              resolve();
            };
          });
          wake = () => {};
        }
        const item = items.shift();
        if (item) {
          taken = item.cursor ?? taken;
          return { done: false, value: item };
        }
        const error = end?.error;
        if (end) end = { error: null };
        if (error) throw error;
        return { done: true, value: undefined };
      },
      async return() {
        stop();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  // ---- questions

  async function request<Data, V extends object>(
    document: Document<Data, V>,
    variables?: V,
    { idempotencyKey, signal }: RequestOptions = {},
  ): Promise<Data> {
    const query = document.toString();
    const key = idempotencyKey ?? (isMutation(query) ? crypto.randomUUID() : undefined);
    for (let tried = 1; ; tried++) {
      const given = await token();
      const answer = await fetch(options.url, {
        method: "POST",
        headers: {
          "content-type": "application/json",
          accept: "application/graphql-response+json, application/json;q=0.9",
          ...(key === undefined ? {} : { "idempotency-key": key }),
          ...(given === null ? {} : { authorization: `Bearer ${given}` }),
        },
        body: JSON.stringify({ query, variables: variables ?? {} }),
        ...(signal ? { signal } : {}),
      })
        .then(async (response) => ({ status: response.status, body: await response.json() }))
        .catch((error: unknown) => {
          signal?.throwIfAborted();
          return { status: 0, body: error };
        });
      const { status } = answer;
      const result = answer.body as FormattedExecutionResult<Data>;
      if (status !== 0 && status !== 503) {
        if (!result.errors) return result.data as Data;
        const refusal = new Refused(result.errors as readonly GraphQLProblem[]);
        if (refusal.code !== "UNAUTHENTICATED" || given === null || tried >= attempts) throw refusal;
        refused = given;
      } else if (tried >= attempts) {
        throw status === 503 && result.errors
          ? new Refused(result.errors as readonly GraphQLProblem[])
          : new Disconnected("the mall cannot be reached", { cause: answer.body });
      } else {
        await sleep(delay(tried - 1, backoff), signal);
      }
    }
  }

  return {
    get state() {
      return state;
    },
    onState(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    subscribe,
    request,
    async close() {
      for (const stop of [...feeds]) stop();
      clearTimeout(deadline);
      become({ status: "closed" });
      await socket.dispose();
    },
  };
}

/** The server refused `connection_init`, or the token has expired. */
const FORBIDDEN = 4403;

function closeCode(event: unknown): number | undefined {
  if (typeof event !== "object" || event === null || !("code" in event)) return undefined;
  return typeof event.code === "number" ? event.code : undefined;
}

function itemOf<Data>(result: FormattedExecutionResult<Data, { cursor?: string }>): Item<Data> {
  return {
    data: result.data as Data,
    cursor: result.extensions?.cursor ?? null,
    errors: (result.errors ?? []) as readonly GraphQLProblem[],
  };
}

function failure(error: unknown): unknown {
  if (Array.isArray(error)) return new Refused(error as readonly GraphQLProblem[]);
  if (error instanceof Error) return error;
  const reason =
    typeof error === "object" && error !== null && "reason" in error && error.reason
      ? String(error.reason)
      : "the connection was lost";
  const code = closeCode(error);
  return new Disconnected(code === undefined ? reason : `${code}: ${reason}`, { cause: error });
}

/** Doubles with each attempt up to a bound; half of it is chance, so that clients do not come back all at once. */
function delay(attempt: number, { first, most }: { first: number; most: number }): number {
  const whole = Math.min(most, first * 2 ** Math.min(attempt, 30));
  return whole / 2 + (Math.random() * whole) / 2;
}

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

function isMutation(query: string): boolean {
  return /^\s*mutation\b/.test(query.replace(/#.*$/gm, ""));
}
