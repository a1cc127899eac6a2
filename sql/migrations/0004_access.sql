-- Who may ask: tokens, one-time links and the sessions of people. Hashes only (SHA-256 of 256 random bits).

create table hivelog.access_tokens (
    id         uuid primary key,
    name       text not null,
    hash       bytea not null unique,
    scopes     text[] not null,
    queues     text[],              -- null: all
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz
);

-- A code logs in once. The link that carries it may be opened any number of times: only its page posts it.
create table hivelog.login_codes (
    hash       bytea primary key,
    name       text not null,
    role       text not null,
    expires_at timestamptz not null
);

-- Sessions end when unused for a while (idle_until), and at the latest at expires_at.
create table hivelog.logins (
    hash       bytea primary key,
    name       text not null,
    role       text not null,
    created_at timestamptz not null,
    idle_until timestamptz not null,
    expires_at timestamptz not null
);
create index logins_expiry on hivelog.logins (expires_at);

-- What a claim over HTTP answered, so that the same claim_id answers the same jobs after a lost answer.
create table hivelog.worker_claims (
    session    uuid not null,
    claim_id   text not null,
    tokens     bigint[] not null,
    claimed_at timestamptz not null,
    primary key (session, claim_id)
);
create index worker_claims_age on hivelog.worker_claims (claimed_at);
