-- The public keys that seals name: (id, public_key, endorsed_by, endorsement).
select k.id, k.public_key, k.endorsed_by, k.endorsement from hivelog.seal_keys k order by k.id
