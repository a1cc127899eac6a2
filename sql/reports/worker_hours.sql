-- How busy each worker session was, UTC hour by hour: slot seconds that it worked, of those that it offered.
create or replace view hivelog_reports.worker_hours as
with busy as (
    select r.session, h.hour, count(*) as attempts,
        sum(date_part('epoch', least(coalesce(r.ended_at, hivelog.now()), h.hour + interval '1 hour')
            - greatest(r.started_at, h.hour))) as seconds
    from hivelog.rounds r
    cross join lateral generate_series(date_trunc('hour', r.started_at, 'UTC'),
        coalesce(r.ended_at, hivelog.now()), interval '1 hour') h (hour)
    where r.started is not null
    group by r.session, h.hour
), offered as (
    select w.*, h.hour, date_part('epoch', least(coalesce(w.ended_at, hivelog.now()), h.hour + interval '1 hour')
        - greatest(w.started_at, h.hour)) * w.slots as seconds
    from hivelog.workers w
    cross join lateral generate_series(date_trunc('hour', w.started_at, 'UTC'),
        coalesce(w.ended_at, hivelog.now()), interval '1 hour') h (hour)
)
select o.session, o.name as worker, o.host, o.hour, o.slots, coalesce(b.attempts, 0) as attempts,
    coalesce(b.seconds, 0) as busy_seconds, o.seconds as offered_seconds,
    100.0::float8 * coalesce(b.seconds, 0) / nullif(o.seconds, 0) as utilisation
from offered o
left join busy b on b.session = o.id and b.hour = o.hour;

comment on view hivelog_reports.worker_hours is 'How busy each worker session was, UTC hour by hour; reads every attempt.';
comment on column hivelog_reports.worker_hours.session is 'The session''s id.';
comment on column hivelog_reports.worker_hours.worker is 'The worker''s name.';
comment on column hivelog_reports.worker_hours.host is 'Its host.';
comment on column hivelog_reports.worker_hours.hour is 'Begin of the hour.';
comment on column hivelog_reports.worker_hours.slots is 'Jobs that it ran at once.';
comment on column hivelog_reports.worker_hours.attempts is 'Attempts that ran in the hour.';
comment on column hivelog_reports.worker_hours.busy_seconds is 'Seconds worked, over all slots.';
comment on column hivelog_reports.worker_hours.offered_seconds is 'Slots times the seconds that it lived in the hour.';
comment on column hivelog_reports.worker_hours.utilisation is 'Percent of the offered seconds that it worked.';
