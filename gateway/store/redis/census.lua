-- Says that a replica is there, and counts those that are. KEYS[1]: sorted set of names by the moment at which they are
-- taken for gone. ARGV: name, or nothing; milliseconds that it counts for, 0 to leave. Answers how many there are.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if ARGV[1] ~= '' then
  if ARGV[2] == '0' then
    redis.call('ZREM', KEYS[1], ARGV[1])
  else
    redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
  end
end
return redis.call('ZCARD', KEYS[1])
