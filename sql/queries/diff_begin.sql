-- A checkpoint at the beginning of the log for a projection's generation (name, generation) that only this transaction sees.
insert into hivelog.projections (name, generation, live) values (%(name)s, %(generation)s, false)
