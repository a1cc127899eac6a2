-- Job types and actors minted after the ids known, and the actor %(asked)s: (kind, id, name). One whose minting was not
-- committed yet when a higher number was read is not newer than what is known.
select 't', id, name from hivelog.job_types where id > %(type)s
union all
select 'a', id, name from hivelog.actors where id > %(actor)s or id = %(asked)s
