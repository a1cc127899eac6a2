-- It takes a parameter since 0017, with a default: beside the former one, a call without any would be ambiguous.
drop function if exists hivelog.partition_size();
