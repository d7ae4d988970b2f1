-- Every message, gapless and in commit order. JSON keeps the text that was
-- written; what is searched for has a column.
CREATE TABLE messages (
    position INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('event', 'command', 'reply')),
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    name TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    causation_id TEXT,
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    recorded_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX messages_message_id ON messages (message_id);
CREATE UNIQUE INDEX messages_stream_version ON messages (stream, version) WHERE kind = 'event';
CREATE INDEX messages_addressee ON messages (stream, position) WHERE kind <> 'event';
CREATE INDEX messages_partition ON messages (partition, position);
CREATE INDEX messages_causation ON messages (causation_id) WHERE causation_id IS NOT NULL;

-- The position of the last message. Whoever appends moves it first, so that
-- positions are given in the order of the commits.
CREATE TABLE ledger_head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    position INTEGER NOT NULL
) STRICT;

INSERT INTO ledger_head (id, position) VALUES (1, 0);

-- States of long streams, so that loading them need not begin at the start.
CREATE TABLE snapshots (
    stream TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    schema INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (json_valid(state)),
    taken_at INTEGER NOT NULL
) STRICT;

-- Which messages each consumer has handled, until its checkpoints have passed.
CREATE TABLE inbox (
    consumer TEXT NOT NULL,
    message_id TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (consumer, message_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX inbox_position ON inbox (consumer, position);

-- What was answered to requests that carry a key.
CREATE TABLE idempotency (
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    result TEXT NOT NULL,
    first_position INTEGER NOT NULL,
    last_position INTEGER NOT NULL,
    answered_at INTEGER NOT NULL,
    PRIMARY KEY (caller, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_answered_at ON idempotency (answered_at);

-- Names that only one may hold.
CREATE TABLE claims (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    owner TEXT NOT NULL,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

-- What is to be said later.
CREATE TABLE timers (
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    kind TEXT NOT NULL,
    stream TEXT NOT NULL,
    message_name TEXT NOT NULL,
    message_id TEXT NOT NULL,
    payload TEXT NOT NULL CHECK (json_valid(payload)),
    metadata TEXT NOT NULL CHECK (json_valid(metadata)),
    PRIMARY KEY (owner, name)
) STRICT;

CREATE INDEX timers_due_at ON timers (due_at);

-- How far each consumer has come, partition by partition.
CREATE TABLE checkpoints (
    consumer TEXT NOT NULL,
    partition INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (consumer, partition)
) STRICT, WITHOUT ROWID;

-- Messages that a consumer could not handle, and those behind them.
CREATE TABLE dead_letters (
    id TEXT PRIMARY KEY,
    consumer TEXT NOT NULL,
    key TEXT NOT NULL,
    position INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_failed_at INTEGER NOT NULL,
    payload_override TEXT CHECK (json_valid(payload_override))
) STRICT;

CREATE UNIQUE INDEX dead_letters_message ON dead_letters (consumer, position);
CREATE INDEX dead_letters_key ON dead_letters (key, position);
CREATE INDEX dead_letters_position ON dead_letters (position, id);

-- What belongs to the data rather than to a process.
CREATE TABLE settings (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
