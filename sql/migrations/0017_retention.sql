-- Retention: how far the log's beginning is gone, one row for each time that some of it went. What live jobs and
-- others still need of it lies in hivelog.events_kept, a partition of the log below the edge.

create table hivelog.retention (
    edge        bigint primary key,     -- events up to it are gone, but for those carried into events_kept
    sealed_edge bigint not null,        -- the last seal whose events are not all here any more
    edge_at     timestamptz not null,   -- when the event at the edge was recorded
    dropped     bigint not null,
    carried     bigint not null,        -- events in events_kept since
    archive     text,                   -- the directory that has them; null: none was configured
    done_at     timestamptz not null
);

do $$
begin
    execute 'create trigger append_only before update or delete on hivelog.retention
        for each row execute function hivelog.forbid_change()';
    execute 'create trigger append_only_truncate before truncate on hivelog.retention
        for each statement execute function hivelog.forbid_change()';
    execute 'alter table hivelog.retention enable always trigger append_only';
    execute 'alter table hivelog.retention enable always trigger append_only_truncate';
end $$;

-- Takes other parameters than before: partitions are no longer all of one size.
drop function if exists hivelog.add_events_partition;
