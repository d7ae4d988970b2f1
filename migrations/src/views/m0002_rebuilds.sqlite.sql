-- Read models that are to be filled anew, are being filled, or were: one row
-- for each that was ever asked for, with how its last rebuild went.
CREATE TABLE projection_rebuilds (
    name TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    -- 1 until it has ended, then null: there is one at a time.
    underway INTEGER UNIQUE,
    -- How often it was begun, ever. Who began it earlier and is slow finds out.
    run INTEGER NOT NULL,
    -- How often it was begun since it was asked for.
    attempts INTEGER NOT NULL,
    -- Up to which position of the ledger the new tables are filled, and where
    -- the ledger ended when that was last looked at.
    done INTEGER NOT NULL,
    total INTEGER NOT NULL,
    error TEXT,
    requested_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
