/** The kiosk: a customer looks around, fills a basket, pays and checks out. */
import { Refused } from "@mallbots/client";
import { useState } from "preact/hooks";
import { money, plural } from "../format";
import { asId, newId } from "../ids";
import { ask, useFeed, useQuery, useSettled } from "../mall";
import {
  AddItemDocument,
  AuthorizePaymentDocument,
  BasketLiveDocument,
  type BasketWholeFragment,
  CheckoutDocument,
  CustomersDocument,
  type CustomersQuery,
  FindProductsDocument,
  OpenStoresDocument,
  RegisterCustomerDocument,
  RemoveItemDocument,
  ShelfDocument,
  type ShelfSubscription,
  StartBasketDocument,
} from "../operations";
import { become, usePlace } from "../route";
import { Choice, type Deed, Empty, Field, Panel, Problem, useDeed } from "../ui";
import { Tracker } from "./tracker";

type Customer = Pick<CustomersQuery["customers"]["nodes"][number], "id" | "name">;
type Product = Omit<ShelfSubscription["productsChanged"], never>;

/** Who shops at this kiosk, kept for the next visit. */
const CUSTOMER = "mallbots:customer";

function remembered(): Customer | null {
  try {
    return JSON.parse(localStorage.getItem(CUSTOMER) ?? "null");
  } catch {
    return null;
  }
}

export function Kiosk() {
  const { query } = usePlace();
  const order = query.get("order");
  const basket = query.get("basket");
  const [customer, setCustomer] = useState(remembered);
  const choose = (next: Customer | null) => {
    setCustomer(next);
    if (next) localStorage.setItem(CUSTOMER, JSON.stringify(next));
    else localStorage.removeItem(CUSTOMER);
    become("/kiosk");
  };
  if (order) {
    return (
      <>
        <Tracker key={order} id={order} fresh />
        <p>
          <a href="/kiosk">Shop again</a>
        </p>
      </>
    );
  }
  if (!customer) return <Welcome onChoose={choose} />;
  return <Shop customer={customer} basket={basket} onLeave={() => choose(null)} />;
}

function Welcome({ onChoose }: { onChoose: (customer: Customer) => void }) {
  const [name, setName] = useState("");
  const [number, setNumber] = useState("+15550100");
  const [text, setText] = useState("");
  const found = useQuery(CustomersDocument, { text: useSettled(text, 200) || null });
  const deed = useDeed();
  return (
    <>
      <h1>Welcome to the mall</h1>
      <p class="lead">Say who you are, and the shelves are yours. A robot will do the walking.</p>
      <div class="columns">
        <Panel title="New here">
          <form
            onSubmit={(event) => {
              event.preventDefault();
              const id = newId("customer");
              void deed
                .run(() => ask(RegisterCustomerDocument, { id, name, smsNumber: number }))
                .then((done) => done && onChoose({ id, name: name.trim() }));
            }}
          >
            <Field label="Name" value={name} onInput={setName} required maxLength={200} autocomplete="name" />
            <Field
              label="Number for messages"
              value={number}
              onInput={setNumber}
              required
              type="tel"
              hint="Where you are told how your order does, such as +15550100."
            />
            <button class="loud" disabled={deed.busy || !name.trim()}>
              Register
            </button>
            <Problem text={deed.problem} />
          </form>
        </Panel>
        <Panel title="Been here before">
          <Field label="Find your name" value={text} onInput={setText} type="search" />
          <Problem text={found.problem} />
          <ul class="people">
            {found.data?.customers.nodes.slice(0, 12).map((customer) => (
              <li key={customer.id}>
                <button type="button" onClick={() => onChoose(customer)}>
                  <span>{customer.name}</span>
                  <span class="faint small">{customer.enabled ? customer.smsNumber : "may not shop"}</span>
                </button>
              </li>
            ))}
          </ul>
          {found.data?.customers.nodes.length === 0 && <Empty>Nobody of that name.</Empty>}
        </Panel>
      </div>
    </>
  );
}

function Shop({ customer, basket, onLeave }: { customer: Customer; basket: string | null; onLeave: () => void }) {
  const stores = useQuery(OpenStoresDocument, {}, { every: 15_000 });
  const [chosen, setChosen] = useState<string | null>(null);
  const [text, setText] = useState("");
  const wanted = useSettled(text.trim(), 200);
  const store = chosen ?? stores.data?.stores.nodes[0]?.id ?? null;
  const shelf = useFeed(
    ShelfDocument,
    store && !wanted ? { store } : null,
    () => new Map<string, Product>(),
    (products, { productsChanged: product }) => {
      products.set(product.id, product);
    },
  );
  const found = useQuery(FindProductsDocument, wanted ? { text: wanted } : null);
  const live = useFeed(
    BasketLiveDocument,
    basket ? { id: basket } : null,
    () => ({ basket: null as BasketWholeFragment | null }),
    (state, { basketChanged }) => {
      state.basket = basketChanged;
    },
  );
  const deed = useDeed();
  const put = (product: string) =>
    deed.run(async () => {
      const id = basket ?? newId("basket");
      if (!basket) {
        await ask(StartBasketDocument, { id, customer: customer.id });
        become(`/kiosk?basket=${id}`);
      }
      await ask(AddItemDocument, { basket: id, product, quantity: 1 });
    });
  const products = wanted
    ? (found.data?.products.nodes ?? []).filter(({ store, removed }) => store.participating && !removed)
    : [...shelf.state.values()].filter(({ removed }) => !removed);
  const here = stores.data?.stores.nodes.find(({ id }) => id === store);

  return (
    <>
      <div class="title">
        <h1>Hello, {customer.name}</h1>
        <button type="button" class="plain push" onClick={onLeave}>
          Somebody else?
        </button>
      </div>
      <div class="columns two-one">
        <div class="stack">
          <Problem text={stores.problem} />
          {stores.data?.stores.nodes.length === 0 && (
            <Empty>
              No store is open. <a href="/stores">Open one at the store desk.</a>
            </Empty>
          )}
          <div class="row wrap">
            <Choice
              label="Stores"
              options={(stores.data?.stores.nodes ?? []).map(({ id, name }) => [id, name] as const)}
              value={wanted ? "" : (store ?? "")}
              onChange={(store) => {
                setChosen(store);
                setText("");
              }}
            />
            <input
              type="search"
              aria-label="Find a product"
              placeholder="Find a product"
              value={text}
              onInput={(event) => setText(event.currentTarget.value)}
            />
          </div>
          <p class="faint small">{wanted ? `What has “${wanted}” in its name` : here?.location}</p>
          <ul class="shelf">
            {products.map((product) => (
              <li key={product.id}>
                <h2>{product.name}</h2>
                <p class="small faint">{product.description || product.sku}</p>
                <p class="row">
                  <b>{money(product.price)}</b>
                  <button
                    type="button"
                    class="push"
                    disabled={deed.busy}
                    aria-label={`Add ${product.name} to the basket`}
                    onClick={() => put(product.id)}
                  >
                    Add
                  </button>
                </p>
              </li>
            ))}
          </ul>
          {products.length === 0 && (wanted ? found.data : shelf.heard || here?.products.nodes.length === 0) && <Empty>Nothing here.</Empty>}
        </div>
        <Basket {...{ basket, customer, deed }} whole={live.state.basket} />
      </div>
    </>
  );
}

function Basket(props: { basket: string | null; customer: Customer; whole: BasketWholeFragment | null; deed: Deed }) {
  const { basket, customer, whole, deed } = props;
  const [changed, setChanged] = useState<string | null>(null);
  const items = whole?.items ?? [];
  const pieces = items.reduce((sum, { quantity }) => sum + quantity, 0);
  // Prices may have risen since: the money that is set aside is enough for what it costs now.
  const now = items.reduce((sum, { quantity, product }) => sum + quantity * cents(product.price.amount), 0);
  const buy = (acceptPriceChanges: boolean) =>
    deed.run(async () => {
      if (!basket || !whole) return;
      const payment = newId("payment");
      const amount = acceptPriceChanges ? (now / 100).toFixed(2) : whole.total.amount;
      try {
        await ask(AuthorizePaymentDocument, { id: payment, customer: customer.id, amount });
        const { checkoutBasket } = await ask(CheckoutDocument, { basket, payment, acceptPriceChanges });
        setChanged(null);
        become(`/kiosk?order=${checkoutBasket.orderId}`);
      } catch (error) {
        if (!(error instanceof Refused) || error.code !== "PRICE_CHANGED") throw error;
        setChanged((now / 100).toFixed(2));
      }
    });
  const over = whole && whole.status !== "OPEN";
  return (
    <Panel
      title="Basket"
      class="basket"
      side={<span class="faint small">{pieces === 0 ? "empty" : plural(pieces, "piece")}</span>}
    >
      {items.length === 0 ? (
        <Empty>Add something from the shelves.</Empty>
      ) : (
        <ul class="lines">
          {items.map((item) => (
            <li key={item.product.id}>
              <span>
                {item.productName} <span class="faint small">{item.storeName}</span>
              </span>
              <span class="amount">
                {item.quantity} × {item.price.amount}
                {item.product.price.amount !== item.price.amount && !item.product.removed && (
                  <em class="small"> now {item.product.price.amount}</em>
                )}
                {item.product.removed && <em class="small"> sold out</em>}
              </span>
              <button
                type="button"
                class="plain"
                disabled={deed.busy || Boolean(over)}
                aria-label={`Take one ${item.productName} out`}
                onClick={() =>
                  deed.run(() => ask(RemoveItemDocument, { basket: basket ?? "", product: item.product.id, quantity: 1 }))
                }
              >
                −
              </button>
            </li>
          ))}
        </ul>
      )}
      <p class="total">
        <span>Total</span>
        <b>{whole ? money(whole.total) : "–"}</b>
      </p>
      {over && basket ? (
        <a class="button loud" href={`/kiosk?order=${asId("order", basket)}`}>
          This basket was bought
        </a>
      ) : changed ? (
        <div class="remark warn" role="alert">
          <p>Prices changed since you filled your basket. It now costs {changed}.</p>
          <button type="button" class="loud" disabled={deed.busy} onClick={() => buy(true)}>
            Buy at the new prices
          </button>
        </div>
      ) : (
        <button type="button" class="loud" disabled={deed.busy || items.length === 0} onClick={() => buy(false)}>
          Pay and check out
        </button>
      )}
      <Problem text={deed.problem} />
    </Panel>
  );
}

/** Exact: amounts have two decimals. */
function cents(amount: string): number {
  return Math.round(Number(amount) * 100);
}
