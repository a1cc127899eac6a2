-- The tables that a projection writes.
create or replace function hivelog.projection_tables(in_name text) returns text[]
language sql immutable parallel safe as $$
    select case in_name
        when 'jobs' then array['jobs', 'queue_minutes', 'queue_hours']
        when 'failures' then array['failures']
        when 'workers' then array['workers']
        when 'rounds' then array['rounds']
    end
$$;
-- Begins a new generation beside the live one: empty tables `<table>_g<n>` and a checkpoint at 0. They have
-- their primary keys only, which folding needs; `projection_index` adds the rest when they are full.
-- Answers its number. An unfinished one that was left behind is dropped first.
create or replace function hivelog.projection_begin(in_name text) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    number integer; name text;
begin
    -- One rebuild of a projection at a time, and never beside a swap.
    perform from hivelog.projections p where p.name = in_name and p.live for update;
    if not found then
        raise exception 'there is no projection %', in_name using errcode = 'HL005';
    end if;
    perform hivelog.projection_discard(in_name, p.generation)
    from hivelog.projections p where p.name = in_name and not p.live and not p.kept;
    select max(p.generation) + 1 into number from hivelog.projections p where p.name = in_name;
    foreach name in array hivelog.projection_tables(in_name) loop
        execute format('create table hivelog.%I (like hivelog.%I including all excluding indexes)',
            name || '_g' || number, name);
        execute (
            select format('alter table hivelog.%I add primary key (%s)', name || '_g' || number,
                string_agg(quote_ident(a.attname), ', ' order by array_position(i.indkey::int2[], a.attnum)))
            from pg_index i join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any (i.indkey)
            where i.indrelid = format('hivelog.%I', name)::regclass and i.indisprimary
        );
        perform hivelog.projection_options(name, name || '_g' || number);
    end loop;
    insert into hivelog.projections (name, generation, live) values (in_name, number, false);
    insert into hivelog.checkpoints (name, generation) values (in_name, number);
    return number;
end $$;
-- Gives a full generation the indexes that the live one has beside its primary key.
create or replace function hivelog.projection_index(in_name text, in_generation integer) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    name text; definition text;
begin
    foreach name in array hivelog.projection_tables(in_name) loop
        for definition in
            select pg_get_indexdef(i.indexrelid) from pg_index i
            where i.indrelid = format('hivelog.%I', name)::regclass and not i.indisprimary
        loop
            execute regexp_replace(definition, '^CREATE( UNIQUE)? INDEX \S+ ON \S+ ',
                format('CREATE\1 INDEX ON hivelog.%I ', name || '_g' || in_generation));
        end loop;
        execute format('analyze hivelog.%I', name || '_g' || in_generation);
    end loop;
end $$;
-- Copies what LIKE leaves out: storage options and who may do what.
create or replace function hivelog.projection_options(source text, target text) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    options text; granted record;
begin
    select array_to_string(c.reloptions, ', ') into options from pg_class c
    where c.oid = format('hivelog.%I', source)::regclass;
    if options <> '' then
        execute format('alter table hivelog.%I set (%s)', target, options);
    end if;
    for granted in
        select a.grantee::regrole::text as grantee, string_agg(a.privilege_type, ', ') as rights
        from pg_class c, aclexplode(c.relacl) a
        where c.oid = format('hivelog.%I', source)::regclass and a.grantee not in (0, c.relowner)
        group by a.grantee
    loop
        execute format('grant %s on hivelog.%I to %s', granted.rights, target, granted.grantee);
    end loop;
end $$;
-- Gives up a generation that is not live.
create or replace function hivelog.projection_discard(in_name text, in_generation integer) returns void
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    name text;
begin
    delete from hivelog.projections p
    where p.name = in_name and p.generation = in_generation and not p.live;
    if found then
        foreach name in array hivelog.projection_tables(in_name) loop
            execute format('drop table if exists hivelog.%I', name || '_g' || in_generation);
        end loop;
    end if;
end $$;
-- The new generation takes the old one's place, in this transaction: its tables take the names, the views
-- that read the old tables read the new ones, the old tables go, or stay as `<table>_g<n>` where `keep` asks
-- for it. False when the checkpoints differ: then catch up and ask again.
-- One swap at a time: a view can read tables of several projections, and while another swap drops one of them
-- its stored text cannot be read ("could not open relation with OID").
create or replace function hivelog.projection_swap(in_name text, in_generation integer, keep boolean)
returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    old_position bigint; old_generation integer; new_position bigint; name text; v record;
begin
    perform pg_advisory_xact_lock(hivelog.swap_lock());
    select c.position, p.generation into old_position, old_generation
    from hivelog.projections p join hivelog.checkpoints c using (name, generation)
    where p.name = in_name and p.live for update;
    select c.position into new_position
    from hivelog.projections p join hivelog.checkpoints c using (name, generation)
    where p.name = in_name and p.generation = in_generation and not p.live for update;
    -- A broken live generation stands still: then ahead of it is good enough.
    if new_position is null or new_position < old_position or (new_position > old_position and not exists (
        select from hivelog.projections p where p.name = in_name and p.live and p.error is not null
    )) then
        return false;
    end if;
    foreach name in array hivelog.projection_tables(in_name) loop
        for v in
            select c.oid::regclass as view, pg_get_viewdef(c.oid) as definition
            from pg_class c
            where c.relkind = 'v' and exists (
                select from pg_depend d join pg_rewrite r on r.oid = d.objid
                where r.ev_class = c.oid and d.classid = 'pg_rewrite'::regclass
                    and d.refobjid = format('hivelog.%I', name)::regclass
            )
        loop
            -- The text names the table; the stored rule holds its number.
            execute format('create or replace view %s as %s', v.view, regexp_replace(v.definition,
                '\mhivelog\.' || name || '\M', 'hivelog.' || name || '_g' || in_generation, 'g'));
        end loop;
        if keep then
            execute format('alter table hivelog.%I rename to %I', name, name || '_g' || old_generation);
        else
            execute format('drop table hivelog.%I', name);
        end if;
        execute format('alter table hivelog.%I rename to %I', name || '_g' || in_generation, name);
    end loop;
    if keep then
        update hivelog.projections p set live = false, kept = true where p.name = in_name and p.live;
    else
        delete from hivelog.projections p where p.name = in_name and p.live;
    end if;
    update hivelog.projections p set live = true where p.name = in_name and p.generation = in_generation;
    return true;
end $$;
-- Gives up the old generations that were kept. Answers their numbers.
create or replace function hivelog.projection_drop_kept(in_name text) returns integer[]
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    numbers integer[];
begin
    select coalesce(array_agg(p.generation order by p.generation), '{}') into numbers
    from hivelog.projections p where p.name = in_name and p.kept;
    perform hivelog.projection_discard(in_name, u.n) from unnest(numbers) u (n);
    return numbers;
end $$;
