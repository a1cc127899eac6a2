-- Seals: each signs the digest of a range of positions and names the seal before it. They lie without a gap
-- from the first position on; no private key is ever here.

create table hivelog.seal_keys (
    id          smallint generated always as identity primary key,
    public_key  bytea not null unique,      -- Ed25519, 32 bytes
    added_at    timestamptz not null,
    endorsed_by smallint,                   -- the key that signed this one; null: the first, or nobody vouches
    endorsement bytea
);

create table hivelog.seals (
    position  bigint primary key,           -- the last that it covers
    first     bigint not null unique,
    epoch     integer not null,
    format    smallint not null,            -- of the digests; events/canonical.py
    key       smallint not null,
    sealed_at timestamptz not null,
    root      bytea not null,               -- of the tree over the digests of these events
    previous  bytea not null,               -- the hash of the seal before it; zeros for the first
    signature bytea not null,
    names     text not null,                -- the actors and queues that these events name by number
    prints    bytea not null                -- two bytes of each event's digest: says which one was altered
);
alter table hivelog.seals alter column prints set storage external;

do $$
declare
    name text;
begin
    foreach name in array array['seals', 'seal_keys'] loop
        execute format('create trigger append_only before update or delete on hivelog.%I
            for each row execute function hivelog.forbid_change()', name);
        execute format('create trigger append_only_truncate before truncate on hivelog.%I
            for each statement execute function hivelog.forbid_change()', name);
        execute format('alter table hivelog.%I enable always trigger append_only', name);
        execute format('alter table hivelog.%I enable always trigger append_only_truncate', name);
    end loop;
end $$;
