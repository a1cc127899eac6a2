-- What a claim answered before: (tokens), or nothing.
select tokens from hivelog.worker_claims where session = %(session)s and claim_id = %(claim)s
