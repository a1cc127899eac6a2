-- The position of a job's erasure (%(job)s), or nothing.
select position from hivelog.events where stream = %(job)s and type = 'payload_erased'
