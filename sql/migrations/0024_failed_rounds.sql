-- Rounds that went wrong, in the order in which they did: what had failed in the hour that ran at a moment of the past.
create index rounds_failed on hivelog.rounds (ended)
    where outcome in ('retry_scheduled', 'failed', 'expired', 'lost');
