-- Every message, gapless and in commit order. JSON keeps the text that was
-- written; what is searched for has a column.
CREATE TABLE messages (
    position bigint PRIMARY KEY,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('event', 'command', 'reply')),
    stream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    name text COLLATE "C" NOT NULL,
    schema_version integer NOT NULL,
    partition smallint NOT NULL,
    message_id uuid NOT NULL,
    causation_id uuid,
    payload json NOT NULL,
    metadata json NOT NULL,
    recorded_at bigint NOT NULL
);

CREATE UNIQUE INDEX messages_message_id ON messages (message_id);
CREATE UNIQUE INDEX messages_stream_version ON messages (stream, version) WHERE kind = 'event';
CREATE INDEX messages_addressee ON messages (stream, position) WHERE kind <> 'event';
CREATE INDEX messages_partition ON messages (partition, position);
CREATE INDEX messages_causation ON messages (causation_id) WHERE causation_id IS NOT NULL;

-- The position of the last message. Whoever appends moves it first, so that
-- positions are given in the order of the commits.
CREATE TABLE ledger_head (
    id integer PRIMARY KEY CHECK (id = 1),
    position bigint NOT NULL
);

INSERT INTO ledger_head (id, position) VALUES (1, 0);

-- States of long streams, so that loading them need not begin at the start.
CREATE TABLE snapshots (
    stream text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL,
    schema integer NOT NULL,
    state json NOT NULL,
    taken_at bigint NOT NULL
);

-- Which messages each consumer has handled, until its checkpoints have passed.
CREATE TABLE inbox (
    consumer text COLLATE "C" NOT NULL,
    message_id uuid NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (consumer, message_id)
);

CREATE INDEX inbox_position ON inbox (consumer, position);

-- What was answered to requests that carry a key.
CREATE TABLE idempotency (
    caller text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    fingerprint text NOT NULL,
    result text NOT NULL,
    first_position bigint NOT NULL,
    last_position bigint NOT NULL,
    answered_at bigint NOT NULL,
    PRIMARY KEY (caller, key)
);

CREATE INDEX idempotency_answered_at ON idempotency (answered_at);

-- Names that only one may hold.
CREATE TABLE claims (
    scope text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    owner text COLLATE "C" NOT NULL,
    PRIMARY KEY (scope, key)
);

-- What is to be said later.
CREATE TABLE timers (
    owner text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    due_at bigint NOT NULL,
    kind text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    message_name text COLLATE "C" NOT NULL,
    message_id uuid NOT NULL,
    payload json NOT NULL,
    metadata json NOT NULL,
    PRIMARY KEY (owner, name)
);

CREATE INDEX timers_due_at ON timers (due_at);

-- How far each consumer has come, partition by partition.
CREATE TABLE checkpoints (
    consumer text COLLATE "C" NOT NULL,
    partition smallint NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (consumer, partition)
);

-- Messages that a consumer could not handle, and those behind them.
CREATE TABLE dead_letters (
    id text COLLATE "C" PRIMARY KEY,
    consumer text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    message_id uuid NOT NULL,
    reason text NOT NULL,
    attempts integer NOT NULL,
    first_failed_at bigint NOT NULL,
    payload_override json
);

CREATE UNIQUE INDEX dead_letters_message ON dead_letters (consumer, position);
CREATE INDEX dead_letters_key ON dead_letters (key, position);
CREATE INDEX dead_letters_position ON dead_letters (position, id);

-- What belongs to the data rather than to a process.
CREATE TABLE settings (
    key text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
);
