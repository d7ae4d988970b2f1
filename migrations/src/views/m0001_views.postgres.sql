-- One table family for each read model. All of it can be thrown away and
-- filled again from the ledger. Times are microseconds since the Unix epoch.
--
-- Rows that change often leave room on their page, so that an update that
-- touches no index stays there.

-- The mall's stores.
CREATE TABLE stores (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    location text NOT NULL,
    participating boolean NOT NULL,
    search text NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX stores_created_at ON stores (created_at, id);

-- What they sell. What went off sale stays, so that it is found by its id.
CREATE TABLE products (
    id text COLLATE "C" PRIMARY KEY,
    store_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    sku text NOT NULL,
    price bigint NOT NULL,
    removed boolean NOT NULL,
    search text NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX products_removed ON products (removed, created_at, id);
CREATE INDEX products_store_id_removed ON products (store_id, removed, created_at, id);

-- The customers.
CREATE TABLE customers (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    sms_number text NOT NULL,
    enabled boolean NOT NULL,
    search text NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX customers_created_at ON customers (created_at, id);

-- What they put into their baskets.
CREATE TABLE baskets (
    id text COLLATE "C" PRIMARY KEY,
    customer_id text COLLATE "C" NOT NULL,
    payment_id text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    items json NOT NULL,
    total bigint NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);

-- What they ordered.
CREATE TABLE orders (
    id text COLLATE "C" PRIMARY KEY,
    customer_id text COLLATE "C" NOT NULL,
    customer_name text NOT NULL,
    payment_id text COLLATE "C" NOT NULL,
    shopping_list_id text COLLATE "C",
    invoice_id text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    items json NOT NULL,
    total bigint NOT NULL,
    approved_at bigint,
    rejected_at bigint,
    started_at bigint,
    readied_at bigint,
    completed_at bigint,
    canceled_at bigint,
    rejection_reason text,
    cancellation_reason text,
    canceled_by text,
    search text NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX orders_created_at ON orders (created_at, id);
CREATE INDEX orders_total ON orders (total, id);
CREATE INDEX orders_customer_id ON orders (customer_id, created_at, id);
CREATE INDEX orders_status ON orders (status, created_at, id);

-- Which order holds what: only to look for orders by.
CREATE TABLE order_lines (
    order_id text COLLATE "C" NOT NULL,
    product_id text COLLATE "C" NOT NULL,
    store_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (order_id, product_id)
);

CREATE INDEX order_lines_product_id ON order_lines (product_id, order_id);
CREATE INDEX order_lines_store_id ON order_lines (store_id, order_id);

-- What happened to each order, item by item.
CREATE TABLE order_timeline (
    order_id text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    at bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    title text NOT NULL,
    order_status text COLLATE "C" NOT NULL,
    saga_id text COLLATE "C",
    saga_state text COLLATE "C",
    saga_step json,
    PRIMARY KEY (order_id, position)
);

-- Sagas, step by step.
CREATE TABLE sagas (
    id text COLLATE "C" PRIMARY KEY,
    order_id text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL,
    steps json NOT NULL,
    refusal text,
    ended_at bigint,
    version bigint NOT NULL,
    position bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX sagas_created_at ON sagas (created_at, id);
CREATE INDEX sagas_state ON sagas (state, created_at, id);

-- The customers' payments.
CREATE TABLE payments (
    id text COLLATE "C" PRIMARY KEY,
    customer_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C",
    amount bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);

-- The orders' invoices.
CREATE TABLE invoices (
    id text COLLATE "C" PRIMARY KEY,
    order_id text COLLATE "C" NOT NULL,
    customer_id text COLLATE "C" NOT NULL,
    payment_id text COLLATE "C" NOT NULL,
    amount bigint NOT NULL,
    status text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);

-- What bots collect.
CREATE TABLE shopping_lists (
    id text COLLATE "C" PRIMARY KEY,
    order_id text COLLATE "C" NOT NULL,
    bot_id text COLLATE "C",
    status text COLLATE "C" NOT NULL,
    stops json NOT NULL,
    shortages json NOT NULL,
    version bigint NOT NULL,
    position bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX shopping_lists_created_at ON shopping_lists (created_at, id);
CREATE INDEX shopping_lists_status ON shopping_lists (status, created_at, id);

-- The bots.
CREATE TABLE bots (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    status text COLLATE "C" NOT NULL,
    list_id text COLLATE "C",
    version bigint NOT NULL,
    position bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX bots_created_at ON bots (created_at, id);

-- What customers were told.
CREATE TABLE notifications (
    id text COLLATE "C" PRIMARY KEY,
    customer_id text COLLATE "C" NOT NULL,
    order_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    sms_number text NOT NULL,
    text text NOT NULL,
    status text COLLATE "C" NOT NULL,
    failure text,
    sent_at bigint,
    version bigint NOT NULL,
    position bigint NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
) WITH (fillfactor = 80);

CREATE INDEX notifications_customer_id ON notifications (customer_id, created_at, id);
CREATE INDEX notifications_customer_id_position ON notifications (customer_id, position);

-- How far the tables have come, partition by partition. Moved in the
-- transaction that writes the rows.
CREATE TABLE projection_checkpoints (
    name text COLLATE "C" NOT NULL,
    partition smallint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (name, partition)
) WITH (fillfactor = 50);

-- Events that could not be taken in, and every later one of the same stream.
CREATE TABLE projection_dead_letters (
    id text COLLATE "C" PRIMARY KEY,
    key text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    version bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    schema_version integer NOT NULL,
    payload text NOT NULL,
    metadata text NOT NULL,
    recorded_at bigint NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    first_failed_at bigint NOT NULL
);

CREATE INDEX projection_dead_letters_position ON projection_dead_letters (position, id);
CREATE INDEX projection_dead_letters_key ON projection_dead_letters (key, position);
