-- What each supervisor's processes of a queue end of again and again, for whoever asks why no worker runs.
alter table hivelog.supervisors add column crashes jsonb not null default '{}'; -- {queue: {in_a_row, reason, again_in}}
