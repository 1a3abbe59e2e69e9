-- The limiter, as gateway/limits/ has it in process: what is said there about windows, days and holds holds here.
--
-- One call does a batch of operations, in order and in one piece. ARGV[1] is {prefix, time, operations} in MessagePack;
-- time in ms since 1970, or 0 for the server's own. The answer is {time, epoch or false, answers, when the last call before
-- was}, likewise: who has been answered later than that sees that the data went back. KEYS are some of the keys; all share
-- the prefix's hash tag, so all are in one slot.
--
-- <prefix>holds   hash: id -> {day, month, subject, bucket (0: none), tokens, nano, subject, ...} of the living
-- <prefix>expiry  sorted set: id by the moment at which it expires
-- <prefix>t:<id>  the same as in holds, of one that has expired        <prefix>d:<id>  told once already
-- <prefix>w:<subject>  hash, the window. r, t: sums; h, e: first and last bucket; x: until when the first counts; of each
--                 bucket b: rb requests, tb tokens, lb its last entry, nb the bucket after it
-- <prefix>u:<subject>  hash, the counters. p: places; of each day d: dt used tokens, dT reserved ones, dn, dN nano-dollars;
--                 of each month m: mm, mM nano-dollars
-- <prefix>epoch   there while the counters are known to be whole: which life of theirs it is, and after a colon how
--                 often they have been set by the ledger since          <prefix>last   when the last call was

local call = redis.call
local DAY, SPAN, WIDTH, SOON = 86400000, 60000, 100, 1000
local REMEMBERED, PORTION, KEPT_DAYS = 172800000, 64, 3

local batch = cmsgpack.unpack(ARGV[1])
local prefix, now = batch[1], batch[2]
if now == 0 then
  local time = call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local HOLDS, EXPIRY, EPOCH = prefix .. 'holds', prefix .. 'expiry', prefix .. 'epoch'

local function int(value)
  return string.format('%.0f', value)
end

-- The day and month of a moment, and when they end. After Howard Hinnant's civil_from_days.
local function calendar(ms)
  local day = math.floor(ms / DAY)
  local z = day + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month, year = mp < 10 and mp + 3 or mp - 9, yoe + era * 400
  if month <= 2 then year = year + 1 end
  local number = year * 12 + month - 1
  local y, m = math.floor((number + 1) / 12), (number + 1) % 12 + 1  -- the first day of the next month, back to days
  if m <= 2 then y = y - 1 end
  local e = math.floor(y / 400)
  local yo = y - e * 400
  local dy = math.floor((153 * (m + (m > 2 and -3 or 9)) + 2) / 5)
  local first = e * 146097 + yo * 365 + math.floor(yo / 4) - math.floor(yo / 100) + dy - 719468
  return {day = day, month = number, day_ends = (day + 1) * DAY, month_ends = first * DAY}
end

local today = calendar(now)

-------------------------------------------------------------------------------- windows

-- Lets go of the buckets that no longer count. Returns the window: sums, first and last bucket (nil: none).
local function window_of(subject)
  local key = prefix .. 'w:' .. subject
  local found = call('HMGET', key, 'r', 't', 'h', 'e', 'x')
  local window = {key = key, requests = tonumber(found[1]) or 0, tokens = tonumber(found[2]) or 0}
  if not found[3] then return window end
  window.first, window.last = tonumber(found[3]), tonumber(found[4])
  if tonumber(found[5]) > now then return window end
  local counts_until
  while window.first do
    local b = int(window.first)
    local bucket = call('HMGET', key, 'l' .. b, 'r' .. b, 't' .. b, 'n' .. b)
    counts_until = bucket[1] + SPAN
    if counts_until > now then break end
    window.requests = window.requests - bucket[2]
    window.tokens = window.tokens - bucket[3]
    call('HDEL', key, 'l' .. b, 'r' .. b, 't' .. b, 'n' .. b)
    window.first = tonumber(bucket[4])
  end
  if not window.first then
    call('DEL', key)
    window.last = nil
  else
    call('HSET', key, 'r', int(window.requests), 't', int(window.tokens), 'h', int(window.first), 'x', int(counts_until))
  end
  return window
end

-- Returns the bucket that it was entered in: the last one, should the clock have gone back.
local function enter(window, requests, tokens)
  local b = math.floor(now / WIDTH)
  if window.last and window.last >= b then b = window.last end
  local name = int(b)
  local in_bucket, tokens_in_bucket, last = 0, 0, 0
  local is_new = window.last ~= b
  if not is_new then
    local bucket = call('HMGET', window.key, 'r' .. name, 't' .. name, 'l' .. name)
    in_bucket, tokens_in_bucket, last = tonumber(bucket[1]), tonumber(bucket[2]), tonumber(bucket[3])
  elseif window.last then
    call('HSET', window.key, 'n' .. int(window.last), name)
  end
  window.requests, window.tokens = window.requests + requests, window.tokens + tokens
  window.first, window.last, window.entered = window.first or b, b, math.max(last, now)
  call('HSET', window.key, 'r', int(window.requests), 't', int(window.tokens), 'h', int(window.first), 'e', name,
    'r' .. name, int(in_bucket + requests), 't' .. name, int(tokens_in_bucket + tokens),
    'l' .. name, int(window.entered))
  if window.first == b then call('HSET', window.key, 'x', int(window.entered + SPAN)) end
  if is_new then call('PEXPIRE', window.key, 2 * SPAN) end
  return b
end

-- Corrects a bucket's tokens, if it still counts.
local function correct(subject, bucket, tokens)
  local key, field = prefix .. 'w:' .. subject, 't' .. int(bucket)
  if tokens ~= 0 and call('HEXISTS', key, field) == 1 then
    call('HINCRBY', key, field, int(tokens))
    call('HINCRBY', key, 't', int(tokens))
  end
end

-- Milliseconds until so many (requests: 'r', tokens: 't') no longer count.
local function until_fewer(window, kind, fewer)
  local b = window.first
  while b do
    local name = int(b)
    local bucket = call('HMGET', window.key, kind .. name, 'l' .. name, 'n' .. name)
    fewer = fewer - bucket[1]
    if fewer <= 0 then return bucket[2] + SPAN - now end
    b = tonumber(bucket[3])
  end
end

local function until_empty(window)
  if not window.last then return 0 end
  if window.entered then return window.entered + SPAN - now end
  return call('HGET', window.key, 'l' .. int(window.last)) + SPAN - now
end

-------------------------------------------------------------------------------- counters

local d, m = int(today.day), int(today.month)
local t, T, n, N, m_, M = d .. 't', d .. 'T', d .. 'n', d .. 'N', m .. 'm', m .. 'M'

local function fields_of(day, month)
  if day == today.day then return t, T, n, N, m_, M end
  local d, m = int(day), int(month)
  return d .. 't', d .. 'T', d .. 'n', d .. 'N', m .. 'm', m .. 'M'
end

local function counters_of(subject, period)
  local key = prefix .. 'u:' .. subject
  local found = call('HMGET', key, 'p', fields_of(period.day, period.month))
  return {
    key = key, there = found[2], month_there = found[6], places = tonumber(found[1]) or 0,
    tokens = tonumber(found[2]) or 0, reserved_tokens = tonumber(found[3]) or 0,
    nano = tonumber(found[4]) or 0, reserved_nano = tonumber(found[5]) or 0,
    month_nano = tonumber(found[6]) or 0, month_reserved = tonumber(found[7]) or 0,
  }
end

-- Forgets the days and months that nobody asks for any more.
local function turn(key)
  for _, field in ipairs(call('HKEYS', key)) do
    local number, letter = string.match(field, '^(%d+)(%a)$')
    if number then
      local is_month = letter == 'm' or letter == 'M'
      if is_month and tonumber(number) < today.month - 1 or not is_month and tonumber(number) < today.day - KEPT_DAYS then
        call('HDEL', key, field)
      end
    end
  end
  call('PEXPIRE', key, int(today.month_ends - now + KEPT_DAYS * DAY))
end

local function write(counters, period)
  local t, T, n, N, m, M = fields_of(period.day, period.month)
  call('HSET', counters.key, 'p', int(counters.places), t, int(counters.tokens), T, int(counters.reserved_tokens),
    n, int(counters.nano), N, int(counters.reserved_nano), m, int(counters.month_nano), M, int(counters.month_reserved))
  if not counters.there then turn(counters.key) end
end

-- Enters what nothing was reserved for.
local function commit(subject, day, month, tokens, nano)
  if day < today.day - KEPT_DAYS then return end
  local period = {day = day, month = month}
  local counters = counters_of(subject, period)
  counters.tokens, counters.nano = counters.tokens + tokens, counters.nano + nano
  counters.month_nano = counters.month_nano + nano
  write(counters, period)
end

-------------------------------------------------------------------------------- holds

-- Gives back what a hold has reserved, and enters what was used of it.
local function release(hold, tokens, nano)
  local period = {day = hold[1], month = hold[2]}
  for i = 3, #hold, 4 do
    local subject, bucket, reserved_tokens, reserved_nano = hold[i], hold[i + 1], hold[i + 2], hold[i + 3]
    local counters = counters_of(subject, period)
    if counters.there then
      counters.places = counters.places - 1
      counters.reserved_tokens = counters.reserved_tokens - reserved_tokens
      counters.reserved_nano = counters.reserved_nano - reserved_nano
      counters.month_reserved = counters.month_reserved - reserved_nano
      counters.tokens, counters.nano = counters.tokens + tokens, counters.nano + nano
      counters.month_nano = counters.month_nano + nano
      write(counters, period)
    elseif counters.places > 0 then  -- its day is forgotten
      call('HINCRBY', counters.key, 'p', -1)
    end
    if bucket > 0 then correct(subject, bucket, tokens - reserved_tokens) end
  end
end

local function reap()
  for _, id in ipairs(call('ZRANGEBYSCORE', EXPIRY, '-inf', int(now), 'LIMIT', 0, PORTION)) do
    local packed = call('HGET', HOLDS, id)
    call('ZREM', EXPIRY, id)
    if packed then
      call('HDEL', HOLDS, id)
      release(cmsgpack.unpack(packed), 0, 0)
      call('SET', prefix .. 't:' .. id, packed, 'PX', REMEMBERED)
    end
  end
end

-------------------------------------------------------------------------------- reserve

local RPM, TPM, TPD, PLACES, USD_DAY, USD_MONTH = 0, 1, 2, 3, 4, 5
local WAITS, TOKENS_OF_A_DAY, BUDGET = 1, 2, 3
local FOREVER = math.huge

local function share(left, most)
  return left / (most == 0 and 1 or most)
end

-- Of the requests, and of the tokens, the limit of which the smallest share is left.
local function tightest(claims)
  local requests, tokens, least_requests, least_tokens = false, false, 2, 2
  local function standing(place, kind, most, left, window)
    return {place - 1, kind, most, left, window and until_empty(window) or today.day_ends - now}
  end
  for place, claim in ipairs(claims) do
    local window, counters = claim.window, claim.counters
    if claim.rpm then
      local left = math.max(0, claim.rpm - window.requests)
      if share(left, claim.rpm) < least_requests then
        least_requests, requests = share(left, claim.rpm), standing(place, RPM, claim.rpm, left, window)
      end
    end
    if claim.tpm then
      local left = math.max(0, claim.tpm - window.tokens)
      if share(left, claim.tpm) < least_tokens then
        least_tokens, tokens = share(left, claim.tpm), standing(place, TPM, claim.tpm, left, window)
      end
    end
    if claim.tpd then
      local left = math.max(0, claim.tpd - counters.tokens - counters.reserved_tokens)
      if share(left, claim.tpd) < least_tokens then
        least_tokens, tokens = share(left, claim.tpd), standing(place, TPD, claim.tpd, left)
      end
    end
  end
  return requests, tokens
end

-- Every limit that stands in the way of a claim: {standing, rank, ms, wait or false}.
local function obstacles(place, claim, found)
  local window, counters = claim.window, claim.counters
  local function check(kind, most, used, wanted, rank, ms_of, reset_of)
    if not most or used + wanted <= most then return end
    local never = wanted > most
    local ms = never and FOREVER or ms_of(used + wanted - most)
    local standing = {place - 1, kind, most, math.max(0, most - used), reset_of()}
    found[#found + 1] = {standing, never and BUDGET or rank, ms, not never and rank == WAITS and ms}
  end
  local function empty() return until_empty(window) end
  local function soon() return SOON end
  local function day() return today.day_ends - now end
  local function month() return today.month_ends - now end
  if window then
    check(RPM, claim.rpm, window.requests, claim.requests, WAITS,
      function(over) return until_fewer(window, 'r', over) end, empty)
    check(TPM, claim.tpm, window.tokens, claim.tokens, WAITS,
      function(over) return until_fewer(window, 't', over) end, empty)
  end
  check(TPD, claim.tpd, counters.tokens + counters.reserved_tokens, claim.tokens, TOKENS_OF_A_DAY, day, day)
  check(PLACES, claim.concurrent, counters.places, claim.requests, WAITS, soon, soon)
  check(USD_DAY, claim.usd_day, counters.nano + counters.reserved_nano, claim.nano, BUDGET, day, day)
  check(USD_MONTH, claim.usd_month, counters.month_nano + counters.month_reserved, claim.nano, BUDGET, month, month)
end

-- Whether half of everything is left after a claim. Where that is not so, it must be looked at closely what to ask for.
local function fits_easily(claim)
  local window, c = claim.window, claim.counters
  local function half(most, used) return not most or used * 2 <= most end
  return not (claim.rpm and window.requests + claim.requests > claim.rpm)
    and not (claim.concurrent and c.places + claim.requests > claim.concurrent)
    and half(claim.tpm, window and window.tokens + claim.tokens)
    and half(claim.tpd, c.tokens + c.reserved_tokens + claim.tokens)
    and half(claim.usd_day, c.nano + c.reserved_nano + claim.nano)
    and half(claim.usd_month, c.month_nano + c.month_reserved + claim.nano)
end

local function refused(claims, found)
  local longest, wait = found[1], 0
  for _, obstacle in ipairs(found) do
    if obstacle[2] > longest[2] or obstacle[2] == longest[2] and obstacle[3] > longest[3] then longest = obstacle end
    wait = wait and obstacle[4] and math.max(wait, obstacle[4])
  end
  local requests, tokens = tightest(claims)
  return {0, longest[1], wait, longest[3] == FOREVER, requests, tokens}
end

local function take(claim)
  local counters = claim.counters
  counters.reserved_tokens = counters.reserved_tokens + claim.tokens
  counters.reserved_nano = counters.reserved_nano + claim.nano
  counters.month_reserved = counters.month_reserved + claim.nano
  counters.places = counters.places + claim.holds
  write(counters, today)
  if claim.window then claim.bucket = enter(claim.window, claim.requests, claim.tokens) end
end

local function passed(claims)
  local soft = {}
  for place, claim in ipairs(claims) do
    local counters = claim.counters
    if claim.soft_day and counters.nano > claim.soft_day then
      soft[#soft + 1] = {place - 1, USD_DAY, claim.soft_day, 0, today.day_ends - now}
    end
    if claim.soft_month and counters.month_nano > claim.soft_month then
      soft[#soft + 1] = {place - 1, USD_MONTH, claim.soft_month, 0, today.month_ends - now}
    end
  end
  return soft
end

-- What is gone of day and month, reserved or used, where there is a limit to it.
local function gone(claims)
  local all = {}
  for place, claim in ipairs(claims) do
    if claim.tpd or claim.usd_day or claim.usd_month then
      local c = claim.counters
      all[#all + 1] = {
        place - 1, c.tokens + c.reserved_tokens, c.nano + c.reserved_nano, c.month_nano + c.month_reserved,
      }
    end
  end
  return all
end

-- The limits follow in the row, as in gateway/limits/types.py.
local function claim_of(subject, requests, tokens, nano, holds, row, at)
  local claim = {
    subject = subject, requests = requests, tokens = tokens, nano = nano, holds = holds,
    rpm = row[at], tpm = row[at + 1], tpd = row[at + 2], concurrent = row[at + 3], usd_day = row[at + 4],
    usd_month = row[at + 5], soft_day = row[at + 6], soft_month = row[at + 7],
  }
  claim.counters = counters_of(subject, today)
  if claim.rpm or claim.tpm then claim.window = window_of(subject) end
  return claim
end

local function hold(id, record, ttl)
  call('HSET', HOLDS, id, cmsgpack.pack(record))
  call('ZADD', EXPIRY, int(now + ttl), id)
end

local function in_share(record, claim, tokens, nano)
  local at = #record
  record[at + 1], record[at + 2], record[at + 3], record[at + 4] = claim.subject, claim.bucket or 0, tokens, nano
end

local function granted(claims)
  local requests, tokens = tightest(claims)
  return {1, requests, tokens, passed(claims), gone(claims)}
end

local function reserve(operation)
  local claims, found = {}, {}
  for place, c in ipairs(operation[3]) do
    claims[place] = claim_of(c[1], c[2], c[3], c[4], 0, c, 5)
    obstacles(place, claims[place], found)
  end
  if #found > 0 then return refused(claims, found) end
  for _, shares in ipairs(operation[4]) do
    for i = 2, #shares, 3 do
      local claim = claims[shares[i] + 1]
      claim.holds = claim.holds + 1
    end
  end
  for _, claim in ipairs(claims) do take(claim) end
  for _, shares in ipairs(operation[4]) do
    local record = {today.day, today.month}
    for i = 2, #shares, 3 do in_share(record, claims[shares[i] + 1], shares[i + 1], shares[i + 2]) end
    hold(shares[1], record, operation[2])
  end
  return granted(claims)
end

-- A rough wish: each hold counts alike in all who are limited.
local function reserve_easily(operation)
  local claims, wishes, tokens, nano = {}, operation[4], 0, 0
  for _, wish in ipairs(wishes) do tokens, nano = tokens + wish[2], nano + wish[3] end
  for place, row in ipairs(operation[3]) do
    claims[place] = claim_of(row[1], #wishes, tokens, nano, #wishes, row, 2)
    if not fits_easily(claims[place]) then return {2} end
  end
  for _, claim in ipairs(claims) do take(claim) end
  for _, wish in ipairs(wishes) do
    local record = {today.day, today.month}
    for _, claim in ipairs(claims) do in_share(record, claim, wish[2], wish[3]) end
    hold(wish[1], record, operation[2])
  end
  return granted(claims)
end

-------------------------------------------------------------------------------- the rest

local function settle(operation)
  if operation[3] and call('GET', EPOCH) ~= operation[3] then return 0 end
  for _, use in ipairs(operation[2]) do
    local id, tokens, nano, subjects = use[1], use[2], use[3], use[4]
    local known = true
    local told = #subjects > 0 and call('EXISTS', prefix .. 'd:' .. id) == 1
    if told then tokens, nano = 0, 0 end
    local packed = call('HGET', HOLDS, id)
    if packed then
      call('HDEL', HOLDS, id)
      call('ZREM', EXPIRY, id)
      release(cmsgpack.unpack(packed), tokens, nano)
    else
      packed = call('GET', prefix .. 't:' .. id)
      if packed then
        call('DEL', prefix .. 't:' .. id)
        local hold = cmsgpack.unpack(packed)
        for i = 3, #hold, 4 do
          if hold[i + 1] > 0 then correct(hold[i], hold[i + 1], tokens) end
          commit(hold[i], hold[1], hold[2], tokens, nano)
        end
      elseif #subjects > 0 and not told then
        local period = calendar(math.min(use[5], now))
        for _, subject in ipairs(subjects) do
          commit(subject, period.day, period.month, tokens, nano)
          if use[5] + SPAN > now then enter(window_of(subject), 1, tokens) end
        end
      else
        known = false
      end
    end
    if known and not told and #subjects > 0 then call('SET', prefix .. 'd:' .. id, '', 'PX', REMEMBERED) end
  end
  return true
end

-- Holds that were made in a life of the counters that is lost: they are there again, whatever the limits.
local function restore(operation)
  for _, row in ipairs(operation[3]) do
    local id = row[1]
    if call('HEXISTS', HOLDS, id) == 0 and call('EXISTS', prefix .. 'd:' .. id) == 0 then
      local record = {today.day, today.month}
      for i = 2, #row, 3 do
        local subject, tokens, nano = row[i], row[i + 1], row[i + 2]
        local counters = counters_of(subject, today)
        counters.places = counters.places + 1
        counters.reserved_tokens = counters.reserved_tokens + tokens
        counters.reserved_nano = counters.reserved_nano + nano
        counters.month_reserved = counters.month_reserved + nano
        write(counters, today)
        local at = #record
        record[at + 1], record[at + 2], record[at + 3], record[at + 4] =
          subject, enter(window_of(subject), 1, tokens), tokens, nano
      end
      call('HSET', HOLDS, id, cmsgpack.pack(record))
      call('ZADD', EXPIRY, int(now + operation[2]), id)
    end
  end
  return true
end

local function renew(operation)
  for _, id in ipairs(operation[3]) do
    call('ZADD', EXPIRY, 'XX', int(now + operation[2]), id)
  end
  return true
end

-- What was used is set by the ledger: who has kept uses that it knows must not tell them as well.
local function by_ledger()
  local epoch = call('GET', EPOCH)
  if not epoch then return end
  local life, times = string.match(epoch, '^([^:]*):?(%d*)$')
  call('SET', EPOCH, life .. ':' .. int((tonumber(times) or 0) + 1))
end

local function seed(operation)
  for _, p in ipairs(operation[3]) do
    local period = calendar(p[2])
    local counters = counters_of(p[1], period)
    if not (operation[2] and counters.there) then counters.tokens, counters.nano = p[3], p[4] end
    if not (operation[2] and counters.month_there) then counters.month_nano = p[5] end
    write(counters, period)
  end
  by_ledger()
  return true
end

-- Adds to what was used, in the day and month of now.
local function adjust(operation)
  for _, p in ipairs(operation[2]) do
    local counters = counters_of(p[1], today)
    counters.tokens, counters.nano = counters.tokens + p[2], counters.nano + p[3]
    counters.month_nano = counters.month_nano + p[4]
    write(counters, today)
  end
  by_ledger()
  return true
end

local function counts(operation)
  local all = {}
  for i, subject in ipairs(operation[2]) do
    local c = counters_of(subject, today)
    all[i] = {c.tokens, c.nano, c.month_nano, c.reserved_tokens, c.reserved_nano, c.month_reserved}
  end
  return all
end

-- The counters are not whole any more, in this life of theirs, however often they were set since.
local function forget(operation)
  local epoch = call('GET', EPOCH)
  if epoch and string.match(epoch, '^[^:]*') == string.match(operation[2], '^[^:]*') then call('DEL', EPOCH) end
  return true
end

local function begin(operation)
  call('SET', EPOCH, operation[2], 'NX')
  return true
end

-- Whether this server can be written to.
local function probe()
  call('SET', prefix .. 'probe', '', 'PX', 1000)
  return true
end

-- Name of the operation: what does it, and whether it needs whole counters.
local OPERATIONS = {
  reserve = {reserve, true}, easily = {reserve_easily, true}, settle = {settle, true}, renew = {renew, true},
  seed = {seed, false}, adjust = {adjust, true}, counts = {counts, false}, begin = {begin, false}, forget = {forget, false},
  restore = {restore, false}, probe = {probe, false},
}

local CHANGES_EPOCH = {forget = true, seed = true, adjust = true}

local epoch, before = call('GET', EPOCH), call('GET', prefix .. 'last')
local answers, reaped = {}, false
for i, operation in ipairs(batch[3]) do
  local does, needs_epoch = unpack(OPERATIONS[operation[1]])
  if needs_epoch and not epoch then
    answers[i] = false
  else
    if epoch and not reaped and (needs_epoch or operation[1] == 'probe') then
      reap()
      reaped = true
    end
    answers[i] = does(operation)
    if not epoch or CHANGES_EPOCH[operation[1]] then epoch = call('GET', EPOCH) end
  end
end
call('SET', prefix .. 'last', int(math.max(now, tonumber(before) or 0)))
return cmsgpack.pack({now, epoch, answers, tonumber(before) or 0})
