-- What is kept under these idempotency keys (bytea[]): (key, fingerprint, jobs).
select key, fingerprint, jobs from hivelog.idempotency where key = any (%(keys)s::bytea[])
