-- This node's last word: it stays until it is old, so that everyone hears it. KEYS: the nodes. ARGV: this node, its name.
return redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f bye %s', now, ARGV[2]))
