#!lua flags=allow-oom
-- A write with a number that WAIT can follow. KEYS: where it stands. ARGV: the number, for how many ms.
return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
