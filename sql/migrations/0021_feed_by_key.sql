-- The feed looks jobs up by a key that the log tells; it had two ways that read more of `ready` than that.
drop function if exists hivelog.feed_live_few(smallint[], uuid[], smallint[], integer[], smallint[]);
drop function if exists hivelog.feed_live_many(smallint[], uuid[]);
