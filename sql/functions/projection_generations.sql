-- The tables that a projection writes.
create or replace function hivelog.projection_tables(in_name text) returns text[]
language sql immutable parallel safe as $$
    select case in_name
        when 'jobs' then array['jobs', 'queue_minutes', 'queue_hours']
        when 'failures' then array['failures']
        when 'workers' then array['workers']
    end
$$;
-- Begins a new generation beside the live one: empty tables `<table>_g<n>` and a checkpoint at 0.
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
    from hivelog.projections p where p.name = in_name and not p.live;
    select max(p.generation) + 1 into number from hivelog.projections p where p.name = in_name;
    foreach name in array hivelog.projection_tables(in_name) loop
        execute format('create table hivelog.%I (like hivelog.%I including all)', name || '_g' || number, name);
        perform hivelog.projection_options(name, name || '_g' || number);
    end loop;
    insert into hivelog.projections (name, generation, live) values (in_name, number, false);
    return number;
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
-- that read the old tables read the new ones, the old tables go. False when the checkpoints differ: then
-- catch up and ask again.
create or replace function hivelog.projection_swap(in_name text, in_generation integer) returns boolean
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    old_position bigint; new_position bigint; name text; v record;
begin
    select p.position into old_position from hivelog.projections p
    where p.name = in_name and p.live for update;
    select p.position into new_position from hivelog.projections p
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
        execute format('drop table hivelog.%I', name);
        execute format('alter table hivelog.%I rename to %I', name || '_g' || in_generation, name);
    end loop;
    delete from hivelog.projections p where p.name = in_name and p.live;
    update hivelog.projections p set live = true where p.name = in_name and p.generation = in_generation;
    return true;
end $$;
