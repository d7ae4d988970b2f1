-- Read models that are to be filled anew, are being filled, or were: one row
-- for each that was ever asked for, with how its last rebuild went.
CREATE TABLE projection_rebuilds (
    name text COLLATE "C" PRIMARY KEY,
    state text COLLATE "C" NOT NULL,
    -- 1 until it has ended, then null: there is one at a time.
    underway smallint UNIQUE,
    -- How often it was begun, ever. Who began it earlier and is slow finds out.
    run bigint NOT NULL,
    -- How often it was begun since it was asked for.
    attempts integer NOT NULL,
    -- Up to which position of the ledger the new tables are filled, and where
    -- the ledger ended when that was last looked at.
    done bigint NOT NULL,
    total bigint NOT NULL,
    error text,
    requested_at bigint NOT NULL,
    ended_at bigint
) WITH (fillfactor = 50);
