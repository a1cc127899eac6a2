-- State of the jobs touched after a checkpoint, unless too far back: see functions/feed_state.sql.
-- Parameters: the checkpoint, the largest number of events to go through.
select * from hivelog.feed_state(%s, %s)
