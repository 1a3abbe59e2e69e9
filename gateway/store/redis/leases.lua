-- Who makes the answers of one team's calls, for as long as they say that they are still at it. KEYS[1] is the prefix of
-- the team's keys in cache.lua, of which these are some: <prefix>l:<member> is the name of who makes what would be kept as
-- <prefix>v:<member>. ARGV: take, claim, renew or release; who; milliseconds; members. Answers for each of them:
--
-- take     the kept value; else as claim
-- claim    {another who makes it}, or nil: who asks does from now on
-- renew    {another, or '-' for nobody}, or nil: who asks still does
-- release  nil
local call = redis.call
local prefix, verb, who, ms = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local found = {}
if verb == 'take' then
  local keys = {}
  for i = 4, #ARGV do keys[i - 3] = prefix .. 'v:' .. ARGV[i] end
  found = call('MGET', unpack(keys))  -- nil also for what is no text
end
for i = 4, #ARGV do
  if not found[i - 3] then
    local key = prefix .. 'l:' .. ARGV[i]
    local holder = call('GET', key)
    local mine = holder == who
    if verb == 'take' or verb == 'claim' then
      if holder and not mine then found[i - 3] = {holder} else call('SET', key, who, 'PX', ms) end
    elseif verb == 'renew' then
      if mine then call('PEXPIRE', key, ms) else found[i - 3] = {holder or '-'} end
    elseif mine then
      call('DEL', key)
    end
  end
  found[i - 3] = found[i - 3] or false
end
return found
