-- Write a seal. Parameters: its fields. Answer: false when it does not begin where the last one ended.
select hivelog.seal(%(first)s, %(position)s, %(epoch)s, %(format)s::smallint, %(key)s::smallint, %(sealed_at)s,
    %(root)s, %(previous)s, %(signature)s, %(names)s, %(prints)s)
