/** The depot board: the lists by status and the bots; it moves by itself while others work. */
import type { VNode } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { count, plural, words } from "../format";
import { asId, newId } from "../ids";
import { ask, problemOf, useFeed, useReturns } from "../mall";
import {
  AssignListDocument,
  BotsLiveDocument,
  type BotsLiveSubscription,
  BringBotOnlineDocument,
  CompleteListDocument,
  type ListCardFragment,
  ListsDocument,
  ListsLiveDocument,
  type ListsQuery,
  PickItemDocument,
  RecentlyDoneDocument,
  RegisterBotDocument,
  type ShoppingListStatus,
  StartShoppingDocument,
  TakeBotOfflineDocument,
} from "../operations";
import { Badge, Dialog, Empty, Field, Id, Meter, Panel, Problem, useDeed } from "../ui";
import { BotFace } from "./home";

type List = ListCardFragment;
type Bot = BotsLiveSubscription["botsChanged"];

const OPEN: readonly ShoppingListStatus[] = ["PENDING", "AVAILABLE", "ASSIGNED", "ACTIVE"];

const COLUMNS: readonly (readonly [ShoppingListStatus, string, string])[] = [
  ["PENDING", "Written", "their orders are not accepted yet"],
  ["AVAILABLE", "Waiting", "for a bot"],
  ["ASSIGNED", "Assigned", "the bot has not set out"],
  ["ACTIVE", "Shopping", "the bot goes from store to store"],
  ["COMPLETED", "Done", "at the depot, the latest"],
];

/** How many lists that are done stay on the board. */
const DONE = 24;

interface Board {
  /** What is not done, by id. */
  open: Map<string, List>;
  /** What was done lately, the latest first. */
  done: List[];
  /** What was heard since the lists were last read. */
  heard: Set<string>;
}

function put(board: Board, list: List) {
  const { id, status } = list;
  board.heard.add(id);
  if (OPEN.includes(status)) {
    board.open.set(id, list);
    return;
  }
  // The feed begins with lists from long ago: what is new in "done" was open before.
  const was = board.open.delete(id);
  const at = board.done.findIndex((other) => other.id === id);
  if (at !== -1) board.done[at] = list;
  else if (was && status === "COMPLETED") board.done = [list, ...board.done].slice(0, DONE);
}

/** Everything on the board: read page by page, then kept by what is heard. */
function useBoard() {
  const feed = useFeed(
    ListsLiveDocument,
    {},
    (): Board => ({ open: new Map(), done: [], heard: new Set() }),
    (board, { shoppingListsChanged: list }) => put(board, list),
  );
  const [read, setRead] = useState(0);
  const [problem, setProblem] = useState<string | null>(null);
  const returns = useReturns();
  const board = feed.state;
  useEffect(() => {
    let gone = false;
    board.heard.clear();
    const look = async () => {
      const found = new Map<string, List>();
      for (let after: string | null = null, more = true; more && !gone; ) {
        const { shoppingLists }: ListsQuery = await ask(ListsDocument, { statuses: OPEN, first: 100, after });
        for (const list of shoppingLists.nodes) found.set(list.id, list);
        after = shoppingLists.pageInfo.endCursor ?? null;
        more = shoppingLists.pageInfo.hasNextPage && found.size < 2_000;
        if (gone) return;
        merge(board, found);
        setRead((read) => read + 1);
      }
      // What was open before the connection was lost, and is not any more.
      for (const id of board.open.keys()) if (!found.has(id) && !board.heard.has(id)) board.open.delete(id);
      const { shoppingLists } = await ask(RecentlyDoneDocument, {});
      if (gone) return;
      // The newest first.
      const done = [...shoppingLists.nodes].reverse();
      const known = new Set(board.done.map(({ id }) => id));
      board.done = [...board.done, ...done.filter(({ id }) => !known.has(id))].slice(0, DONE);
      setProblem(null);
      setRead((read) => read + 1);
    };
    look().catch((error: unknown) => setProblem(problemOf(error)));
    return () => {
      gone = true;
    };
  }, [board, returns]);
  return { board, read, problem: problem ?? feed.problem };
}

/** What was read goes where nothing newer was heard. */
function merge(board: Board, found: ReadonlyMap<string, List>) {
  for (const [id, list] of found) if (!board.heard.has(id)) board.open.set(id, list);
}

export function Depot() {
  const { board, read, problem } = useBoard();
  const bots = useFeed(BotsLiveDocument, {}, () => new Map<string, Bot>(), (bots, { botsChanged: bot }) => {
    bots.set(bot.id, bot);
  });
  const [chosen, choose] = useState<string | null>(null);
  const deed = useDeed();
  // A card is drawn again only when its list is another.
  const cards = useRef(new WeakMap<List, VNode>());
  const card = (list: List) => {
    let drawn = cards.current.get(list);
    if (!drawn) cards.current.set(list, (drawn = <Card key={list.id} list={list} onOpen={choose} />));
    return drawn;
  };
  const columns = new Map<ShoppingListStatus, List[]>(COLUMNS.map(([status]) => [status, []]));
  for (const list of board.open.values()) columns.get(list.status)?.push(list);
  for (const lists of columns.values()) lists.sort((one, other) => (one.id < other.id ? -1 : 1));
  columns.set("COMPLETED", board.done);
  const all = [...bots.state.values()].sort((one, other) => one.name.localeCompare(other.name));
  const open = chosen ? (board.open.get(chosen) ?? board.done.find(({ id }) => id === chosen)) : undefined;

  return (
    <>
      <div class="title">
        <h1>Depot</h1>
        <span class="faint">{plural(board.open.size, "list")} on the board</span>
      </div>
      <Problem text={problem ?? deed.problem} />
      <Bots bots={all} board={board} deed={deed} />
      <div class="board">
        {COLUMNS.map(([status, name, hint]) => {
          const lists = columns.get(status) ?? [];
          return (
            <section key={status} class={`column ${status.toLowerCase()}`} aria-label={name}>
              <header>
                <h2>{name}</h2>
                <b class="count">{count(lists.length)}</b>
                <span class="faint small">{hint}</span>
              </header>
              <ul tabIndex={0} aria-label={`Lists: ${name}`}>
                {lists.map(card)}
              </ul>
              {lists.length === 0 && read > 0 && <p class="faint small none">None.</p>}
            </section>
          );
        })}
      </div>
      {open && <Work list={open} bots={all} onClose={() => choose(null)} />}
    </>
  );
}

function Card({ list, onOpen }: { list: List; onOpen: (id: string) => void }) {
  const items = list.stops.flatMap(({ items }) => items);
  const wanted = items.reduce((sum, { quantity }) => sum + quantity, 0);
  const picked = items.reduce((sum, { picked }) => sum + picked, 0);
  return (
    <li class="card">
      <button type="button" onClick={() => onOpen(list.id)}>
        <span class="top">
          <Id id={list.id} />
          {list.bot && <span class="bot">{list.bot.name}</span>}
        </span>
        <span class="stops small">{list.stops.map(({ storeName }) => storeName).join(" → ")}</span>
        <span class="progress">
          <span class="bar" aria-hidden="true">
            <span style={{ width: `${wanted ? (picked / wanted) * 100 : 0}%` }} />
          </span>
          <span class="small faint">
            {picked} / {wanted}
          </span>
        </span>
      </button>
    </li>
  );
}

function Bots({ bots, board, deed }: { bots: readonly Bot[]; board: Board; deed: ReturnType<typeof useDeed> }) {
  const [naming, setNaming] = useState(false);
  const [name, setName] = useState("");
  const lists = new Map<string, List>();
  for (const list of board.open.values()) if (list.bot) lists.set(list.bot.id, list);
  return (
    <Panel
      title="Bots"
      class="flat"
      side={
        <button type="button" class="plain" onClick={() => setNaming(true)}>
          Add a bot
        </button>
      }
    >
      <ul class="fleet">
        {bots.map((bot) => (
          <li key={bot.id} class={bot.status.toLowerCase()}>
            <BotFace status={bot.status} />
            <span class="who">
              <b>{bot.name}</b>
              <span class="small faint">
                {bot.status === "ACTIVE" ? (lists.has(bot.id) ? `with ${lists.get(bot.id)?.id.slice(-6)}` : "at work") : words(bot.status).toLowerCase()}
              </span>
            </span>
            {bot.status !== "ACTIVE" && (
              <button
                type="button"
                class="plain small"
                disabled={deed.busy}
                aria-label={`${bot.status === "IDLE" ? "Take" : "Bring"} ${bot.name} ${bot.status === "IDLE" ? "offline" : "online"}`}
                onClick={() =>
                  deed.run(() =>
                    bot.status === "IDLE"
                      ? ask(TakeBotOfflineDocument, { id: bot.id })
                      : ask(BringBotOnlineDocument, { id: bot.id }),
                  )
                }
              >
                {bot.status === "IDLE" ? "rest" : "wake"}
              </button>
            )}
          </li>
        ))}
      </ul>
      {bots.length === 0 && <Empty>No bots yet.</Empty>}
      {naming && (
        <Dialog title="A new bot" onClose={() => setNaming(false)}>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              const id = newId("bot");
              void deed
                .run(async () => {
                  await ask(RegisterBotDocument, { id, name });
                  await ask(BringBotOnlineDocument, { id });
                })
                .then((done) => {
                  if (!done) return;
                  setName("");
                  setNaming(false);
                });
            }}
          >
            <Field label="Name" value={name} onInput={setName} required maxLength={200} />
            <button class="loud" disabled={deed.busy || !name.trim()}>
              Add it and bring it online
            </button>
            <Problem text={deed.problem} />
          </form>
        </Dialog>
      )}
    </Panel>
  );
}

/** What can be done with a list. */
function Work({ list, bots, onClose }: { list: List; bots: readonly Bot[]; onClose: () => void }) {
  const deed = useDeed();
  const idle = bots.filter(({ status }) => status === "IDLE");
  const [bot, setBot] = useState("");
  const [reason, setReason] = useState("sold out");
  const items = list.stops.flatMap((stop) => stop.items.map((item) => ({ ...item, stop })));
  const missing = items.filter(({ picked, quantity }) => picked < quantity);
  const picked = items.reduce((sum, { picked }) => sum + picked, 0);
  const wanted = items.reduce((sum, { quantity }) => sum + quantity, 0);
  const pick = (item: (typeof items)[number], quantity: number) =>
    ask(PickItemDocument, { id: list.id, store: item.stop.store.id, product: item.productId, quantity });
  return (
    <Dialog title={`Shopping list …${list.id.slice(-6)}`} onClose={onClose}>
      <p class="row wrap">
        <Badge state={list.status} /> {list.bot && <span>{list.bot.name}</span>}
        <a class="push" href={`/orders/${asId("order", list.id)}`}>
          Its order
        </a>
      </p>
      <Meter value={wanted ? picked / wanted : 0} label="Picked" />
      {list.stops.map((stop) => (
        <div key={stop.store.id} class="stop">
          <h3>
            {stop.storeName} <span class="faint small">{stop.location}</span>
          </h3>
          <ul class="lines">
            {items
              .filter((item) => item.stop === stop)
              .map((item) => (
                <li key={item.productId}>
                  <span>{item.productName}</span>
                  <span class="amount">
                    {item.picked} / {item.quantity}
                  </span>
                  {list.status === "ACTIVE" && (
                    <button
                      type="button"
                      disabled={deed.busy || item.picked >= item.quantity}
                      aria-label={`Pick ${item.productName}`}
                      onClick={() => deed.run(() => pick(item, item.quantity - item.picked))}
                    >
                      Pick
                    </button>
                  )}
                </li>
              ))}
          </ul>
        </div>
      ))}
      {list.status === "AVAILABLE" && (
        <form
          class="row wrap end"
          onSubmit={(event) => {
            event.preventDefault();
            const chosen = bot || idle[0]?.id;
            if (chosen) void deed.run(() => ask(AssignListDocument, { id: list.id, bot: chosen }));
          }}
        >
          <div class="field">
            <label for="assign-bot">Bot</label>
            <select id="assign-bot" value={bot} onChange={(event) => setBot(event.currentTarget.value)}>
              {idle.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
            </select>
          </div>
          <button class="loud" disabled={deed.busy || idle.length === 0}>
            Assign
          </button>
          {idle.length === 0 && <span class="faint small">No bot is idle.</span>}
        </form>
      )}
      {list.status === "ASSIGNED" && (
        <button type="button" class="loud" disabled={deed.busy} onClick={() => deed.run(() => ask(StartShoppingDocument, { id: list.id }))}>
          Start shopping
        </button>
      )}
      {list.status === "ACTIVE" && (
        <div class="row wrap end">
          {missing.length > 0 && (
            <>
              <button
                type="button"
                disabled={deed.busy}
                onClick={() =>
                  deed.run(async () => {
                    for (const item of missing) await pick(item, item.quantity - item.picked);
                  })
                }
              >
                Pick everything
              </button>
              <Field label="Why the rest is missing" value={reason} onInput={setReason} maxLength={500} />
            </>
          )}
          <button
            type="button"
            class="loud"
            disabled={deed.busy || (missing.length > 0 && !reason.trim())}
            onClick={() =>
              deed.run(() =>
                ask(CompleteListDocument, {
                  id: list.id,
                  shortages: missing.map(({ productId }) => ({ productId, reason })),
                }),
              )
            }
          >
            {missing.length ? "Complete without the rest" : "Complete"}
          </button>
        </div>
      )}
      <Problem text={deed.problem} />
    </Dialog>
  );
}
