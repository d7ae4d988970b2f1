/** All orders: searched with every filter, counted by status, without an end, live. */
import { useEffect, useRef, useState } from "preact/hooks";
import { count, money } from "../format";
import { ask, useFeed, usePaced, useQuery, useReturns, useSettled, problemOf } from "../mall";
import {
  AllStoresDocument,
  CustomersDocument,
  FindProductsDocument,
  OrderCountsDocument,
  type OrderFilter,
  type OrderRowFragment,
  OrdersDocument,
  OrdersLiveDocument,
  type OrderSort,
  type OrderStatus,
} from "../operations";
import { become, usePlace } from "../route";
import { At, Badge, Empty, Field, Id, Problem, toneOf } from "../ui";
import { words } from "../format";
import { contents } from "./home";

const STATUSES: readonly OrderStatus[] = [
  "PENDING",
  "APPROVED",
  "IN_PROGRESS",
  "READY",
  "COMPLETED",
  "REJECTED",
  "CANCELED",
];

const SORTS: readonly (readonly [OrderSort, string])[] = [
  ["CREATED_DESC", "Newest first"],
  ["CREATED_ASC", "Oldest first"],
  ["TOTAL_DESC", "Dearest first"],
  ["TOTAL_ASC", "Cheapest first"],
];

/** How many are read at once. */
const PAGE = 40;

/** What is asked for, as it stands in the address. */
interface Wish {
  readonly statuses: readonly OrderStatus[];
  readonly text: string;
  readonly customer: string;
  readonly store: string;
  readonly product: string;
  readonly from: string;
  readonly to: string;
  readonly least: string;
  readonly most: string;
  readonly sort: OrderSort;
}

function wishOf(query: URLSearchParams): Wish {
  const get = (name: string) => query.get(name) ?? "";
  const sort = SORTS.find(([sort]) => sort === query.get("sort"))?.[0] ?? "CREATED_DESC";
  const statuses = query.getAll("status").filter((status): status is OrderStatus => STATUSES.some((known) => known === status));
  return {
    statuses,
    text: get("text"),
    customer: get("customer"),
    store: get("store"),
    product: get("product"),
    from: get("from"),
    to: get("to"),
    least: get("least"),
    most: get("most"),
    sort,
  };
}

function addressOf(wish: Wish): string {
  const query = new URLSearchParams(wish.statuses.map((status) => ["status", status]));
  for (const name of ["text", "customer", "store", "product", "from", "to", "least", "most"] as const) {
    if (wish[name]) query.set(name, wish[name]);
  }
  if (wish.sort !== "CREATED_DESC") query.set("sort", wish.sort);
  const text = query.toString();
  return text ? `/orders?${text}` : "/orders";
}

/** A local moment, as the field gives it, in UTC; none if it is no moment. */
function utc(local: string): string | undefined {
  const date = new Date(local);
  return local && !Number.isNaN(date.getTime()) ? date.toISOString() : undefined;
}

function filterOf(wish: Wish): OrderFilter {
  const amount = (text: string) => (/^\d{1,12}(\.\d{1,2})?$/.test(text) ? text : undefined);
  return {
    text: wish.text.trim() || undefined,
    customerId: wish.customer || undefined,
    storeIds: wish.store ? [wish.store] : undefined,
    productIds: wish.product ? [wish.product] : undefined,
    createdAfter: utc(wish.from),
    createdBefore: utc(wish.to),
    minTotal: amount(wish.least),
    maxTotal: amount(wish.most),
  };
}

export function Orders() {
  const { query } = usePlace();
  const wish = wishOf(query);
  const change = (part: Partial<Wish>) => become(addressOf({ ...wishOf(new URLSearchParams(location.search)), ...part }));
  const settled = useSettled(JSON.stringify(filterOf(wish)), 200);
  const filter: OrderFilter = JSON.parse(settled);
  const fits = (order: OrderRowFragment) => wish.statuses.length === 0 || wish.statuses.includes(order.status);

  // Every status, so that an order that leaves the chosen ones is heard to leave.
  const live = useFeed(
    OrdersLiveDocument,
    { filter },
    () => new Map<string, OrderRowFragment>(),
    (orders, { ordersChanged: order }) => {
      orders.set(order.id, order);
    },
  );
  const moved = usePaced(live.changes, 1_000);
  const counts = useQuery(OrderCountsDocument, { filter }, { on: moved });
  const list = useEndless(filter, wish.statuses, wish.sort);

  const rows = new Map(list.rows.map((row) => [row.id, row]));
  const [, tail] = [list.rows[0], list.rows.at(-1)];
  for (const order of live.state.values()) {
    if (rows.has(order.id)) rows.set(order.id, order);
    // New ones are put where they belong, if that is in what was read so far.
    else if (list.loaded && (list.done || (tail && before(wish.sort, order, tail)))) rows.set(order.id, order);
  }
  const shown = [...rows.values()].filter(fits).sort((one, other) => (before(wish.sort, one, other) ? -1 : 1));
  const all = counts.data?.orderStatusCounts.reduce((sum, { count }) => sum + count, 0);

  return (
    <>
      <h1>Orders</h1>
      <div class="counts" role="group" aria-label="Only orders in these states">
        <button type="button" aria-pressed={wish.statuses.length === 0} onClick={() => change({ statuses: [] })}>
          <b>{all === undefined ? "–" : count(all)}</b> All
        </button>
        {STATUSES.map((status) => {
          const chosen = wish.statuses.includes(status);
          const number = counts.data?.orderStatusCounts.find((count) => count.status === status)?.count;
          return (
            <button
              key={status}
              type="button"
              class={toneOf(status)}
              aria-pressed={chosen}
              onClick={() =>
                change({
                  statuses: chosen ? wish.statuses.filter((other) => other !== status) : [...wish.statuses, status],
                })
              }
            >
              <b>{number === undefined ? "–" : count(number)}</b> {words(status)}
            </button>
          );
        })}
      </div>
      <Filters wish={wish} change={change} />
      <Problem text={list.problem ?? counts.problem} />
      <div class="panel flush">
        <table class="rows">
          <thead>
            <tr>
              <th scope="col">Order</th>
              <th scope="col">Status</th>
              <th scope="col">Customer</th>
              <th scope="col" class="wide">
                What
              </th>
              <th scope="col" class="number">
                Total
              </th>
              <th scope="col" class="wide">
                Placed
              </th>
              <th scope="col" class="wide">
                Changed
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((order) => (
              <tr key={order.id}>
                <td>
                  <Id id={order.id} to={`/orders/${order.id}`} />
                </td>
                <td>
                  <Badge key={order.status} state={order.status} />
                </td>
                <td>{order.customer.name}</td>
                <td class="wide clip">{contents(order)}</td>
                <td class="number">{money(order.total)}</td>
                <td class="wide">
                  <At at={order.createdAt} long />
                </td>
                <td class="wide">
                  <At at={order.updatedAt} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        {shown.length === 0 && <Empty>{list.loaded ? "No order fits." : "Looking …"}</Empty>}
      </div>
      <More list={list} />
    </>
  );
}

function before(sort: OrderSort, one: OrderRowFragment, other: OrderRowFragment): boolean {
  const compare =
    sort === "CREATED_DESC" || sort === "CREATED_ASC"
      ? compareTexts(one.createdAt, other.createdAt)
      : Number(one.total.amount) - Number(other.total.amount);
  const up = sort === "CREATED_ASC" || sort === "TOTAL_ASC";
  return compare === 0 ? (up ? one.id < other.id : one.id > other.id) : up ? compare < 0 : compare > 0;
}

function compareTexts(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

interface Endless {
  readonly rows: readonly OrderRowFragment[];
  readonly loaded: boolean;
  /** Whether there is nothing behind. */
  readonly done: boolean;
  readonly problem: string | null;
  readonly more: () => void;
}

/** Pages, one after the other. */
function useEndless(filter: OrderFilter, statuses: readonly OrderStatus[], sort: OrderSort): Endless {
  const wanted: OrderFilter = { ...filter, ...(statuses.length ? { statuses } : {}) };
  const key = JSON.stringify([wanted, sort]);
  const returns = useReturns();
  type State = { rows: readonly OrderRowFragment[]; after: string | null; loaded: boolean; done: boolean; problem: string | null };
  const empty: State = { rows: [], after: null, loaded: false, done: false, problem: null };
  const [state, set] = useState(empty);
  const turn = useRef(0);
  const busy = useRef(false);
  const load = (mine: number, after: string | null, first: number) => {
    busy.current = true;
    ask(OrdersDocument, { filter: wanted, sort, first, after })
      .then(({ orders: { nodes, pageInfo } }) => {
        if (turn.current !== mine) return;
        set((before) => ({
          rows: after === null ? nodes : [...before.rows, ...nodes],
          after: pageInfo.endCursor ?? null,
          loaded: true,
          done: !pageInfo.hasNextPage,
          problem: null,
        }));
      })
      .catch((error: unknown) => {
        if (turn.current === mine) set((before) => ({ ...before, problem: problemOf(error) }));
      })
      .finally(() => {
        if (turn.current === mine) busy.current = false;
      });
  };
  useEffect(() => {
    turn.current += 1;
    load(turn.current, null, PAGE);
  }, [key, returns]);
  return {
    ...state,
    more: () => {
      if (!busy.current && state.loaded && !state.done) load(turn.current, state.after, PAGE);
    },
  };
}

/** The end of what was read: coming near reads on. */
function More({ list }: { list: Endless }) {
  const element = useRef<HTMLDivElement>(null);
  const more = useRef(list.more);
  more.current = list.more;
  useEffect(() => {
    const observer = new IntersectionObserver(
      (entries) => {
        if (entries.some(({ isIntersecting }) => isIntersecting)) more.current();
      },
      { rootMargin: "600px" },
    );
    if (element.current) observer.observe(element.current);
    return () => observer.disconnect();
  }, [list.rows.length]);
  return (
    <div ref={element} class="more">
      {list.loaded && !list.done && (
        <button type="button" onClick={list.more}>
          More
        </button>
      )}
    </div>
  );
}

function Filters({ wish, change }: { wish: Wish; change: (part: Partial<Wish>) => void }) {
  const stores = useQuery(AllStoresDocument, { text: null });
  const customers = useQuery(CustomersDocument, { text: null });
  const products = useQuery(FindProductsDocument, { text: "" });
  const set = [wish.customer, wish.store, wish.product, wish.from, wish.to, wish.least, wish.most].filter(Boolean).length;
  const [open, setOpen] = useState(set > 0);
  return (
    <div class="filters">
      <div class="row wrap">
        <input
          type="search"
          class="grow"
          aria-label="Find in names of customers, products and stores"
          placeholder="Customer, product or store"
          value={wish.text}
          maxLength={200}
          onInput={(event) => change({ text: event.currentTarget.value })}
        />
        <select aria-label="Sorted" value={wish.sort} onChange={(event) => change({ sort: event.currentTarget.value as OrderSort })}>
          {SORTS.map(([sort, name]) => (
            <option key={sort} value={sort}>
              {name}
            </option>
          ))}
        </select>
        <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
          Filters{set ? ` (${set})` : ""}
        </button>
        {(set > 0 || wish.text || wish.statuses.length > 0) && (
          <button type="button" class="plain" onClick={() => become("/orders")}>
            Clear
          </button>
        )}
      </div>
      {open && (
        <div class="grid">
          <Select label="Customer" value={wish.customer} options={customers.data?.customers.nodes} onChange={(customer) => change({ customer })} />
          <Select label="Store" value={wish.store} options={stores.data?.stores.nodes} onChange={(store) => change({ store })} />
          <Select label="Product" value={wish.product} options={products.data?.products.nodes} onChange={(product) => change({ product })} />
          <Field label="Placed from" type="datetime-local" value={wish.from} onInput={(from) => change({ from })} />
          <Field label="Placed before" type="datetime-local" value={wish.to} onInput={(to) => change({ to })} />
          <Field label="Total at least" inputMode="decimal" value={wish.least} onInput={(least) => change({ least })} />
          <Field label="Total at most" inputMode="decimal" value={wish.most} onInput={(most) => change({ most })} />
        </div>
      )}
    </div>
  );
}

function Select(props: {
  label: string;
  value: string;
  options: readonly { id: string; name: string }[] | undefined;
  onChange: (value: string) => void;
}) {
  const { label, value, options = [] } = props;
  const id = `filter-${label.toLowerCase()}`;
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} onChange={(event) => props.onChange(event.currentTarget.value)}>
        <option value="">Any</option>
        {value && !options.some(({ id }) => id === value) && <option value={value}>{value}</option>}
        {options.map(({ id, name }) => (
          <option key={id} value={id}>
            {name}
          </option>
        ))}
      </select>
    </div>
  );
}
