-- One table family for each read model. All of it can be thrown away and
-- filled again from the ledger. Times are microseconds since the Unix epoch.

-- The mall's stores.
CREATE TABLE stores (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    location TEXT NOT NULL,
    participating INTEGER NOT NULL,
    search TEXT NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX stores_created_at ON stores (created_at, id);

-- What they sell. What went off sale stays, so that it is found by its id.
CREATE TABLE products (
    id TEXT PRIMARY KEY,
    store_id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    sku TEXT NOT NULL,
    price INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    search TEXT NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX products_removed ON products (removed, created_at, id);
CREATE INDEX products_store_id_removed ON products (store_id, removed, created_at, id);

-- The customers.
CREATE TABLE customers (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    sms_number TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    search TEXT NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX customers_created_at ON customers (created_at, id);

-- What they put into their baskets.
CREATE TABLE baskets (
    id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    payment_id TEXT,
    status TEXT NOT NULL,
    items TEXT NOT NULL,
    total INTEGER NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- What they ordered.
CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    customer_name TEXT NOT NULL,
    payment_id TEXT NOT NULL,
    shopping_list_id TEXT,
    invoice_id TEXT,
    status TEXT NOT NULL,
    items TEXT NOT NULL,
    total INTEGER NOT NULL,
    approved_at INTEGER,
    rejected_at INTEGER,
    started_at INTEGER,
    readied_at INTEGER,
    completed_at INTEGER,
    canceled_at INTEGER,
    rejection_reason TEXT,
    cancellation_reason TEXT,
    canceled_by TEXT,
    search TEXT NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX orders_created_at ON orders (created_at, id);
CREATE INDEX orders_total ON orders (total, id);
CREATE INDEX orders_customer_id ON orders (customer_id, created_at, id);
CREATE INDEX orders_status ON orders (status, created_at, id);

-- Which order holds what: only to look for orders by.
CREATE TABLE order_lines (
    order_id TEXT NOT NULL,
    product_id TEXT NOT NULL,
    store_id TEXT NOT NULL,
    PRIMARY KEY (order_id, product_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX order_lines_product_id ON order_lines (product_id, order_id);
CREATE INDEX order_lines_store_id ON order_lines (store_id, order_id);

-- What happened to each order, item by item.
CREATE TABLE order_timeline (
    order_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    title TEXT NOT NULL,
    order_status TEXT NOT NULL,
    saga_id TEXT,
    saga_state TEXT,
    saga_step TEXT,
    PRIMARY KEY (order_id, position)
) STRICT, WITHOUT ROWID;

-- Sagas, step by step.
CREATE TABLE sagas (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    steps TEXT NOT NULL,
    refusal TEXT,
    ended_at INTEGER,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX sagas_created_at ON sagas (created_at, id);
CREATE INDEX sagas_state ON sagas (state, created_at, id);

-- The customers' payments.
CREATE TABLE payments (
    id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    order_id TEXT,
    amount INTEGER NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- The orders' invoices.
CREATE TABLE invoices (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    customer_id TEXT NOT NULL,
    payment_id TEXT NOT NULL,
    amount INTEGER NOT NULL,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- What bots collect.
CREATE TABLE shopping_lists (
    id TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    bot_id TEXT,
    status TEXT NOT NULL,
    stops TEXT NOT NULL,
    shortages TEXT NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX shopping_lists_created_at ON shopping_lists (created_at, id);
CREATE INDEX shopping_lists_status ON shopping_lists (status, created_at, id);

-- The bots.
CREATE TABLE bots (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    list_id TEXT,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX bots_created_at ON bots (created_at, id);

-- What customers were told.
CREATE TABLE notifications (
    id TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    order_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    sms_number TEXT NOT NULL,
    text TEXT NOT NULL,
    status TEXT NOT NULL,
    failure TEXT,
    sent_at INTEGER,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX notifications_customer_id ON notifications (customer_id, created_at, id);
CREATE INDEX notifications_customer_id_position ON notifications (customer_id, position);

-- How far the tables have come, partition by partition. Moved in the
-- transaction that writes the rows.
CREATE TABLE projection_checkpoints (
    name TEXT NOT NULL,
    partition INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (name, partition)
) STRICT, WITHOUT ROWID;

-- Events that could not be taken in, and every later one of the same stream.
CREATE TABLE projection_dead_letters (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    position INTEGER NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    payload TEXT NOT NULL,
    metadata TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_failed_at INTEGER NOT NULL
) STRICT;

CREATE INDEX projection_dead_letters_position ON projection_dead_letters (position, id);
CREATE INDEX projection_dead_letters_key ON projection_dead_letters (key, position);
