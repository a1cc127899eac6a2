-- State of the jobs touched after a checkpoint, unless too far back: see functions/feed_state.sql.
-- Parameters: the checkpoint, the largest number of events to go through.
-- Answer: its columns, and up to where events are gone: from before that nothing can be caught up.
select f.*, coalesce((select max(r.edge) from hivelog.retention r), 0) from hivelog.feed_state(%s, %s) f
