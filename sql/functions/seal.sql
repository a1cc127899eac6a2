-- Writes one seal, if it begins where the last one ended; answers whether it did. Two leaders, or one that came
-- late, so make one chain of it.
create or replace function hivelog.seal(
    in_first bigint, in_position bigint, in_epoch integer, in_format smallint, in_key smallint,
    in_sealed_at timestamptz, in_root bytea, in_previous bytea, in_signature bytea, in_names text, in_prints bytea
) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
begin
    if in_first <> coalesce((select max(s.position) from hivelog.seals s), 0) + 1 or in_position < in_first then
        return false;
    end if;
    insert into hivelog.seals (position, first, epoch, format, key, sealed_at, root, previous, signature, names,
        prints)
    values (in_position, in_first, in_epoch, in_format, in_key, in_sealed_at, in_root, in_previous, in_signature,
        in_names, in_prints)
    on conflict do nothing;
    return found;
end $$;
