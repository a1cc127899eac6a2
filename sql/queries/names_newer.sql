-- Job types and actors minted after the ids known: (kind, id, name).
select 't', id, name from hivelog.job_types where id > %(type)s
union all
select 'a', id, name from hivelog.actors where id > %(actor)s
