/** The store desk: stores, what they sell, for how much, and whether they take part. */
import { useState } from "preact/hooks";
import { count, money } from "../format";
import { newId } from "../ids";
import { ask, useFeed, useQuery, useSettled } from "../mall";
import {
  AddProductDocument,
  AllStoresDocument,
  type AllStoresQuery,
  CreateStoreDocument,
  DecreasePriceDocument,
  DisableStoreDocument,
  EnableStoreDocument,
  IncreasePriceDocument,
  RebrandProductDocument,
  RebrandStoreDocument,
  RemoveProductDocument,
  ShelfDocument,
  type ShelfSubscription,
} from "../operations";
import { become, usePlace } from "../route";
import { Dialog, Empty, Field, Id, Panel, Problem, useDeed } from "../ui";

type Store = AllStoresQuery["stores"]["nodes"][number];
type Product = ShelfSubscription["productsChanged"];

export function Stores() {
  const { query } = usePlace();
  const [text, setText] = useState("");
  const stores = useQuery(AllStoresDocument, { text: useSettled(text.trim(), 200) || null }, { every: 10_000 });
  const [opening, setOpening] = useState(false);
  const all = stores.data?.stores.nodes ?? [];
  const chosen = all.find(({ id }) => id === query.get("store")) ?? all[0];
  return (
    <>
      <div class="title">
        <h1>Stores</h1>
        <span class="faint">
          {count(all.filter(({ participating }) => participating).length)} of {count(all.length)} take part
        </span>
        <button type="button" class="push loud" onClick={() => setOpening(true)}>
          Open a store
        </button>
      </div>
      <Problem text={stores.problem} />
      <div class="columns one-two">
        <Panel title="In the mall">
          <input type="search" class="grow" aria-label="Find a store" placeholder="Find a store" value={text} onInput={(event) => setText(event.currentTarget.value)} />
          <ul class="picks">
            {all.map((store) => (
              <li key={store.id}>
                <a href={`/stores?store=${store.id}`} aria-current={store.id === chosen?.id ? "true" : undefined}>
                  <b>{store.name}</b>
                  <span class="small faint">{store.location}</span>
                  {!store.participating && <span class="badge quiet">closed</span>}
                </a>
              </li>
            ))}
          </ul>
          {stores.data && all.length === 0 && <Empty>No stores yet.</Empty>}
        </Panel>
        {chosen && <Desk key={chosen.id} store={chosen} again={stores.again} />}
      </div>
      {opening && (
        <OpenStore
          onClose={() => setOpening(false)}
          onDone={(id) => {
            stores.again();
            setOpening(false);
            setText("");
            become(`/stores?store=${id}`);
          }}
        />
      )}
    </>
  );
}

function OpenStore({ onClose, onDone }: { onClose: () => void; onDone: (id: string) => void }) {
  const deed = useDeed();
  const [name, setName] = useState("");
  const [location, setLocation] = useState("");
  return (
    <Dialog title="Open a store" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          const id = newId("store");
          void deed
            .run(async () => {
              await ask(CreateStoreDocument, { id, name, location });
              await ask(EnableStoreDocument, { id });
            })
            .then((done) => done && onDone(id));
        }}
      >
        <Field label="Name" value={name} onInput={setName} required maxLength={200} />
        <Field label="Where in the mall" value={location} onInput={setLocation} required maxLength={200} />
        <button class="loud" disabled={deed.busy || !name.trim() || !location.trim()}>
          Open it
        </button>
        <Problem text={deed.problem} />
      </form>
    </Dialog>
  );
}

function Desk({ store, again }: { store: Store; again: () => void }) {
  const shelf = useFeed(ShelfDocument, { store: store.id }, () => new Map<string, Product>(), (products, { productsChanged: product }) => {
    products.set(product.id, product);
  });
  const deed = useDeed();
  const [editing, setEditing] = useState<Product | "new" | null>(null);
  const [name, setName] = useState<string | null>(null);
  const products = [...shelf.state.values()].filter(({ removed }) => !removed);
  return (
    <Panel title={store.name} side={<Id id={store.id} to={`/events/${store.id}`} />}>
      <div class="row wrap">
        <span class="faint">{store.location}</span>
        <label class="switch push">
          <input
            type="checkbox"
            role="switch"
            checked={store.participating}
            disabled={deed.busy}
            onChange={() =>
              deed
                .run(() =>
                  store.participating
                    ? ask(DisableStoreDocument, { id: store.id })
                    : ask(EnableStoreDocument, { id: store.id }),
                )
                .then(again)
            }
          />
          takes part
        </label>
        <button type="button" onClick={() => setName(store.name)}>
          Rename
        </button>
        <button type="button" class="loud" onClick={() => setEditing("new")}>
          Add a product
        </button>
      </div>
      <Problem text={deed.problem ?? shelf.problem} />
      <table>
        <thead>
          <tr>
            <th scope="col">Product</th>
            <th scope="col" class="wide">
              SKU
            </th>
            <th scope="col" class="number">
              Price
            </th>
            <th scope="col">
              <span class="unseen">Change</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {products.map((product) => (
            <tr key={product.id}>
              <td>
                {product.name} <span class="faint small wide">{product.description}</span>
              </td>
              <td class="wide">
                <code>{product.sku}</code>
              </td>
              <td class="number">{money(product.price)}</td>
              <td class="number">
                <button type="button" class="plain" aria-label={`Change ${product.name}`} onClick={() => setEditing(product)}>
                  Change
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {/* Of shelves that were always bare nothing is heard. */}
      {products.length === 0 && (shelf.heard || store.products.nodes.length === 0) && <Empty>Nothing on the shelves.</Empty>}
      {editing && <Goods store={store.id} product={editing === "new" ? null : editing} onClose={() => setEditing(null)} />}
      {name !== null && (
        <Dialog title="Rename the store" onClose={() => setName(null)}>
          <form
            onSubmit={(event) => {
              event.preventDefault();
              void deed
                .run(() => ask(RebrandStoreDocument, { id: store.id, name }))
                .then((done) => {
                  if (!done) return;
                  setName(null);
                  again();
                });
            }}
          >
            <Field label="Name" value={name} onInput={setName} required maxLength={200} />
            <button class="loud" disabled={deed.busy || !name.trim() || name === store.name}>
              Rename
            </button>
            <Problem text={deed.problem} />
          </form>
        </Dialog>
      )}
    </Panel>
  );
}

/** A product, new or to be changed. */
function Goods({ store, product, onClose }: { store: string; product: Product | null; onClose: () => void }) {
  const deed = useDeed();
  const [name, setName] = useState(product?.name ?? "");
  const [description, setDescription] = useState(product?.description ?? "");
  const [sku, setSku] = useState(product?.sku ?? "");
  const [price, setPrice] = useState(product?.price.amount ?? "");
  const save = async () => {
    if (!product) {
      await ask(AddProductDocument, { store, id: newId("product"), name, description, sku, price });
      return;
    }
    if (name !== product.name || description !== product.description) {
      await ask(RebrandProductDocument, { id: product.id, name, description });
    }
    const difference = Number(price) - Number(product.price.amount);
    if (difference > 0) await ask(IncreasePriceDocument, { id: product.id, price });
    if (difference < 0) await ask(DecreasePriceDocument, { id: product.id, price });
  };
  return (
    <Dialog title={product ? `Change ${product.name}` : "Add a product"} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void deed.run(save).then((done) => done && onClose());
        }}
      >
        <Field label="Name" value={name} onInput={setName} required maxLength={200} />
        <Field label="What it is like" value={description} onInput={setDescription} maxLength={4_000} />
        <div class="row">
          <Field label="SKU" value={sku} onInput={setSku} required maxLength={64} disabled={product !== null} />
          <Field label="Price" value={price} onInput={setPrice} required inputMode="decimal" pattern="\d{1,12}(\.\d{1,2})?" />
        </div>
        <div class="row">
          <button class="loud" disabled={deed.busy}>
            {product ? "Save" : "Add it"}
          </button>
          {product && (
            <button
              type="button"
              class="danger push"
              disabled={deed.busy}
              onClick={() => deed.run(() => ask(RemoveProductDocument, { id: product.id })).then((done) => done && onClose())}
            >
              Take it off sale
            </button>
          )}
        </div>
        <Problem text={deed.problem} />
      </form>
    </Dialog>
  );
}
