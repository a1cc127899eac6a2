-- Where the events of a stream (%(stream)s) stand in the log, in order.
select position from hivelog.events where stream = %(stream)s order by position
