-- The jobs whose terms these positions may have changed. Parameters: after, upto.
select distinct e.stream from hivelog.events e
where e.position > %(after)s and e.position <= %(upto)s and e.type in (
    'enqueued', 'requeued', 'retry_scheduled', 'failed', 'expired', 'cancelled', 'payload_erased')
order by e.stream
