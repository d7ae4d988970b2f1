/** A whole purchase, as operations with everything filled in. */
import { parse } from "graphql";
import source from "../../../clients/typescript/operations/purchase.graphql";
import { Store } from "./store";

type Who = "customer" | "store" | "mall" | "depot";

export interface Step {
  /** The operation's name. */
  readonly operation: string;
  readonly title: string;
  readonly who: Who;
  readonly note: string;
  readonly document: string;
  readonly kind: "query" | "mutation" | "subscription";
  readonly variables: (id: Purchase) => Record<string, unknown>;
}

/** The ids of a purchase: those of its basket, order, list and invoice differ in the prefix only. */
export interface Purchase {
  readonly customer: string;
  readonly store: string;
  readonly product: string;
  readonly basket: string;
  readonly order: string;
  readonly list: string;
  readonly invoice: string;
  readonly payment: string;
  readonly bot: string;
}

export type Outcome = { readonly status: "running" | "done" } | { readonly status: "refused"; readonly why: string };

/** A new id, chosen here: a TypeID, which is a prefix and a UUID of version 7 in base 32. */
function newId(): (prefix: string) => string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const now = Date.now();
  for (let place = 0; place < 6; place++) bytes[place] = Math.floor(now / 256 ** (5 - place)) % 256;
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  let number = bytes.reduce((all, byte) => all * 256n + BigInt(byte), 0n);
  let text = "";
  for (let digit = 0; digit < 26; digit++) {
    text = "0123456789abcdefghjkmnpqrstvwxyz"[Number(number & 31n)] + text;
    number >>= 5n;
  }
  return (prefix) => `${prefix}_${text}`;
}

function newPurchase(): Purchase {
  const shared = newId();
  return {
    customer: newId()("customer"),
    store: newId()("store"),
    product: newId()("product"),
    basket: shared("basket"),
    order: shared("order"),
    list: shared("list"),
    invoice: shared("invoice"),
    payment: newId()("payment"),
    bot: newId()("bot"),
  };
}

const KEY = "mallbots:purchase";

interface State {
  readonly ids: Purchase;
  readonly outcomes: { readonly [operation: string]: Outcome };
}

function restored(): State {
  try {
    const state = JSON.parse(localStorage.getItem(KEY) ?? "null") as State | null;
    if (state?.ids.bot) return state;
  } catch {
    // Somebody else's; a new one then.
  }
  return { ids: newPurchase(), outcomes: {} };
}

export const purchase = new Store<State>(restored());
const save = () => localStorage.setItem(KEY, JSON.stringify(purchase.get()));
purchase.subscribe(save);
save();

export function begin(): void {
  purchase.set({ ids: newPurchase(), outcomes: {} });
}

export function came(operation: string, outcome: Outcome): void {
  purchase.update(({ ids, outcomes }) => ({ ids, outcomes: { ...outcomes, [operation]: outcome } }));
}

const operations = new Map(
  parse(source).definitions.flatMap((definition) =>
    definition.kind === "OperationDefinition" && definition.name && definition.loc
      ? [[definition.name.value, { text: source.slice(definition.loc.start, definition.loc.end), kind: definition.operation }]]
      : [],
  ),
);

function step(
  operation: string,
  who: Who,
  title: string,
  note: string,
  variables: (id: Purchase) => Record<string, unknown>,
): Step {
  const { text, kind } = operations.get(operation)!;
  return { operation, who, title, note, document: `# ${note}\n${text}\n`, kind, variables };
}

export const steps: readonly Step[] = [
  step("RegisterCustomer", "customer", "Register a customer", "Ada wants to shop.", ({ customer }) => ({
    customer,
    name: "Ada",
    smsNumber: "+15550100",
  })),
  step("OpenStore", "store", "Open a store", "It takes part, so that bots may shop in it.", ({ store }) => ({
    store,
    name: "Waldorf Books",
    location: "Level 1",
  })),
  step("AddProduct", "store", "Put a product on sale", "Amounts are text, never floats.", ({ store, product }) => ({
    store,
    product,
    name: "Wizard with crystal",
    sku: "WIZARD-1",
    price: "9.99",
  })),
  step("FillBasket", "customer", "Fill a basket", "Two pieces, at the price of this moment.", (id) => ({
    customer: id.customer,
    basket: id.basket,
    product: id.product,
    quantity: 2,
  })),
  step("AuthorizePayment", "customer", "Set money aside", "It is taken only when the invoice is paid.", (id) => ({
    customer: id.customer,
    payment: id.payment,
    amount: "19.98",
  })),
  step("CheckoutBasket", "customer", "Check out", "The basket becomes an order, and a saga starts.", (id) => ({
    basket: id.basket,
    payment: id.payment,
  })),
  step("OrderProgress", "mall", "Watch the order", "Each item comes with a cursor to resume from.", ({ order }) => ({
    order,
  })),
  step("RegisterBot", "depot", "Bring a bot online", "Robby waits for work.", ({ bot }) => ({ bot, name: "Robby" })),
  step("SendBot", "depot", "Send the bot shopping", "It takes the order's list.", ({ list, bot }) => ({ list, bot })),
  step("CollectGoods", "depot", "Collect the goods", "Once all is picked, the invoice is made out.", (id) => ({
    list: id.list,
    store: id.store,
    product: id.product,
    quantity: 2,
  })),
  step("PayInvoice", "customer", "Pay the invoice", "The money is taken, the order completes.", ({ invoice }) => ({
    invoice,
  })),
  step("Order", "mall", "Look at the whole", "The order with all that became of it.", ({ order }) => ({ order })),
];
