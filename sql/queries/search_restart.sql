-- Look through the log again from its beginning. What is there stays until it is written anew.
-- Parameters: kek (under which the hashes are made from now on), position (where search stands; elsewhere
-- another process was first).
update hivelog.search_state set position = 0, kek = %(kek)s where position = %(position)s
