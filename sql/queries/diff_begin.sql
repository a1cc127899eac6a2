-- A checkpoint at the beginning of the log for a projection's generation (name, generation) that only this transaction sees.
with made as (
    insert into hivelog.projections (name, generation, live) values (%(name)s, %(generation)s, false)
)
insert into hivelog.checkpoints (name, generation) values (%(name)s, %(generation)s)
