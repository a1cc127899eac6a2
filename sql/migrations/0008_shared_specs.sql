-- append takes the specs that jobs share once: another parameter makes another function of it.
drop function if exists hivelog.append;
drop function if exists hivelog.append_enqueues;
