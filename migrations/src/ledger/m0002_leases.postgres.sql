-- Who does what only one may do at a time, until when by this clock.
CREATE TABLE leases (
    name text COLLATE "C" PRIMARY KEY,
    holder text COLLATE "C" NOT NULL,
    fence bigint NOT NULL,
    expires_at bigint NOT NULL
);

-- Who is there to share the work of a group.
CREATE TABLE members (
    grp text COLLATE "C" NOT NULL,
    member text COLLATE "C" NOT NULL,
    expires_at bigint NOT NULL,
    PRIMARY KEY (grp, member)
);
