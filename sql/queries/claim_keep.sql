-- Remember what a claim answers; those older than an hour leave by the way.
with gone as (
    delete from hivelog.worker_claims where claimed_at < hivelog.now() - interval '1 hour'
)
insert into hivelog.worker_claims (session, claim_id, tokens, claimed_at)
values (%(session)s, %(claim)s, %(tokens)s, hivelog.now())
on conflict do nothing
