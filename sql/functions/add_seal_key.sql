-- The number of a public key, which is written down at its first use, with the signature of the key before it.
create or replace function hivelog.add_seal_key(
    in_key bytea, in_endorsed_by smallint, in_endorsement bytea
) returns smallint
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into hivelog.seal_keys (public_key, added_at, endorsed_by, endorsement)
    values (in_key, hivelog.now(), in_endorsed_by, in_endorsement)
    on conflict (public_key) do nothing;
    return (select k.id from hivelog.seal_keys k where k.public_key = in_key);
end $$;
