-- Fingerprints of all key-encryption keys that this database has ever seen.
-- Answer: fingerprint, the oldest first.
select k.fingerprint from hivelog.keks k order by k.id
