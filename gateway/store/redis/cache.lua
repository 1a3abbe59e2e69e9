-- Kept answers of one team. KEYS[1] is the prefix of all its keys, with the team's hash tag: all are in one slot.
-- ARGV[1] says what is done; now is the server's time in ms.
--
-- <prefix>v:<member>  a value, which expires by itself; a member is <digest>:<model>
-- <prefix>l:<member>  who makes it now (leases.lua)
-- <prefix>written     sorted set: members in the order in which they were written
-- <prefix>expiry      sorted set: members by the moment at which they expire
-- <prefix>sizes       hash: member -> bytes
-- <prefix>counts      hash: n entries, b bytes, seq the last number of an order; of each model n:<model>, b:<model>
--
-- The four books end with the last value. Where they do not agree, as after Redis has let go of one of them for want of
-- memory, all values that they know are let go, and they begin anew: what is lost then are answers, never the bound.

local call = redis.call
local prefix = KEYS[1]
local WRITTEN, EXPIRY, SIZES, COUNTS = prefix .. 'written', prefix .. 'expiry', prefix .. 'sizes', prefix .. 'counts'
local OVERHEAD, PORTION, GRACE = 400, 200, 1000

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function count(model, entries, bytes)
  call('HINCRBY', COUNTS, 'n', entries)
  call('HINCRBY', COUNTS, 'b', bytes)
  if call('HINCRBY', COUNTS, 'n:' .. model, entries) <= 0 then
    call('HDEL', COUNTS, 'n:' .. model, 'b:' .. model)
  else
    call('HINCRBY', COUNTS, 'b:' .. model, bytes)
  end
end

local function model_of(member)
  return string.sub(member, string.find(member, ':', 1, true) + 1)
end

local function drop(member)
  local size = call('HGET', SIZES, member)
  call('UNLINK', prefix .. 'v:' .. member)
  call('ZREM', WRITTEN, member)
  call('ZREM', EXPIRY, member)
  call('HDEL', SIZES, member)
  if size then count(model_of(member), -1, -size) end
end

local function begin_anew()
  for _, book in ipairs({WRITTEN, EXPIRY}) do
    for _, member in ipairs(call('ZRANGE', book, 0, -1)) do call('UNLINK', prefix .. 'v:' .. member) end
  end
  for _, member in ipairs(call('HKEYS', SIZES)) do call('UNLINK', prefix .. 'v:' .. member) end
  call('UNLINK', WRITTEN, EXPIRY, SIZES, COUNTS)
end

-- Lets go of what has expired; how many there were, of at most a portion.
local function expire()
  local entries = call('HLEN', SIZES)
  local counted = tonumber(call('HGET', COUNTS, 'n') or 0)
  if call('ZCARD', WRITTEN) ~= entries or call('ZCARD', EXPIRY) ~= entries or counted ~= entries then begin_anew() end
  local gone = call('ZRANGEBYSCORE', EXPIRY, '-inf', now, 'LIMIT', 0, PORTION)
  for _, member in ipairs(gone) do drop(member) end
  return #gone
end

local function close_books()
  local last = call('ZRANGE', EXPIRY, -1, -1, 'WITHSCORES')
  if not last[1] then
    call('UNLINK', WRITTEN, EXPIRY, SIZES, COUNTS)
    return
  end
  for _, book in ipairs({WRITTEN, EXPIRY, SIZES, COUNTS}) do call('PEXPIREAT', book, string.format('%.0f', last[2] + GRACE)) end
end

local acts = {}

-- ARGV: most bytes of the team; who keeps them; and of each answer member, value, and ms that it is kept. Nobody makes
-- it any more then. Answers how many entries there are.
function acts.keep(most, who, ...)
  most = tonumber(most)
  expire()
  local given = {...}
  for i = 1, #given, 3 do
    local member, value, ttl = given[i], given[i + 1], given[i + 2]
    drop(member)
    local size = #value + #prefix + 4 * #member + OVERHEAD
    if size <= most then
      call('SET', prefix .. 'v:' .. member, value, 'PX', ttl)
      call('ZADD', WRITTEN, call('HINCRBY', COUNTS, 'seq', 1), member)
      call('ZADD', EXPIRY, string.format('%.0f', now + ttl), member)
      call('HSET', SIZES, member, size)
      count(model_of(member), 1, size)
      while tonumber(call('HGET', COUNTS, 'b')) > most do drop(call('ZRANGE', WRITTEN, 0, 0)[1]) end
    end
    if who ~= '' and call('GET', prefix .. 'l:' .. member) == who then call('DEL', prefix .. 'l:' .. member) end
  end
  close_books()
  return call('HLEN', SIZES)
end

-- Answers {whether there may be more that has expired, counts}.
function acts.stats()
  local more = expire() == PORTION
  close_books()
  return {more and 1 or 0, call('HGETALL', COUNTS)}
end

-- ARGV: cursor, and a model, or nothing for all. Lets go of a portion; answers {cursor of the next, how many}.
function acts.purge(cursor, model)
  expire()
  local found = call('HSCAN', SIZES, cursor, 'COUNT', PORTION)
  local gone = 0
  for place = 1, #found[2], 2 do
    local member = found[2][place]
    if model == '' or model_of(member) == model then
      drop(member)
      gone = gone + 1
    end
  end
  close_books()
  return {found[1], gone}
end

return acts[ARGV[1]](unpack(ARGV, 2))
