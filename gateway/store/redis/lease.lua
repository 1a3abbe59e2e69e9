-- One key that one replica at a time holds. KEYS[1] is the key; ARGV: claim, renew or release; who; milliseconds.
-- Answers who holds it otherwise, and '' where that is who asks.
local holder = redis.call('GET', KEYS[1])
if ARGV[1] == 'claim' then
  if holder and holder ~= ARGV[2] then
    return holder
  end
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
elseif holder ~= ARGV[2] then
  return holder or '-'
elseif ARGV[1] == 'renew' then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
  redis.call('DEL', KEYS[1])
end
return ''
