"""The Lua that counts inside Redis: one script for each strategy, run once for all charges of a request.

KEYS: one for each charge, all different. ARGV[1]: for each of them amount, span in microseconds and cost.
Answer: for each of them 1 or 0 (there is room or not), what remains, and microseconds to wait, as in `Verdict`.
All numbers are doubles, packed big-endian, so that nothing is parsed or rounded on the way. Times are whole
microseconds of the server's own clock, which may be set back: what comes from the future then is written anew, as if
it had begun at this moment, because what is only read so would stand still until the clock is there again.
Rule: `look` finds out, `write` charges; nothing is charged before every charge was found to have room.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_BEGINNING: Final = """\
local call, pack, read = redis.call, struct.pack, struct.unpack
local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max
local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]
"""

# Where a key holds one text: the part that changes within a window is written in place, which costs less than
# setting the key and its expiry again.
_KEPT_AS_TEXT: Final = """\
local kept = call('MGET', unpack(KEYS))

local function write(i, state, offset, expiry)
  if offset then
    call('SETRANGE', KEYS[i], offset, state)
  else
    call('SET', KEYS[i], state, 'PX', expiry)
  end
end
"""

# look(i, amount, span, cost) returns
#   wait: until the cost has room, 0 when it has now; of no meaning when it is more than the amount,
#   spare: what remains without the charge, not yet whole,
#   fresh: until the window is as good as new without the charge, charged_fresh: with it,
#   state and offset: what `write` is to write.
_STRATEGIES: Final = {
    # Two counters, this window's and the last one's, which fades evenly while this one runs: whole requests, without
    # the one that is fading.
    "sliding-window": f"""\
{_KEPT_AS_TEXT}
local function look(i, amount, span, cost)
  local ends, last, used, offset = 0, 0, 0, nil
  if kept[i] and #kept[i] == 24 then
    ends, last, used = read('>ddd', kept[i])
    if ends - now > span then
      ends = now + span
      call('SET', KEYS[i], pack('>ddd', ends, last, used), 'PX', ceil(2 * span / 1000))
    end
    if ends > now then
      offset = 16
    end
  end
  if now >= ends then
    if used > 0 and now < ends + span then
      ends, last = ends + span, used
    else
      ends, last = now + span, 0
    end
    used = 0
  end

  local left, room, wait = ends - now, amount - used - cost, 0
  if room < 0 then
    wait = left + max(0, span - floor((amount - cost + 1) * span / used))
  elseif last > 0 then
    wait = max(0, left - floor((room + 1) * span / last))
  end
  local fresh = used > 0 and left + span or last > 0 and left or 0
  local state = offset and pack('>d', used + cost) or pack('>ddd', ends, last, used + cost)
  return wait, amount - used - max(0, ceil(last * left / span) - 1), fresh, left + span, state, offset
end
""",
    # One counter; a window begins with its first request.
    "fixed-window": f"""\
{_KEPT_AS_TEXT}
local function look(i, amount, span, cost)
  local ends, used, offset = now + span, 0, nil
  if kept[i] and #kept[i] == 16 then
    local kept_ends, kept_used = read('>dd', kept[i])
    if kept_ends > ends then
      kept_ends = ends
      call('SET', KEYS[i], pack('>dd', ends, kept_used), 'PX', ceil(span / 1000))
    end
    if kept_ends > now then
      ends, used, offset = kept_ends, kept_used, 8
    end
  end

  local left = ends - now
  local wait = used + cost > amount and left or 0
  local state = offset and pack('>d', used + cost) or pack('>dd', ends, used + cost)
  return wait, amount - used, used > 0 and left or 0, left, state, offset
end
""",
    # A bucket that drains `amount` in `span`; its level is in units times `span`, so that it is a whole number.
    "gcra": f"""\
{_KEPT_AS_TEXT}
local function look(i, amount, span, cost)
  local level = 0
  if kept[i] and #kept[i] == 16 then
    local at, kept_level = read('>dd', kept[i])
    if at > now then
      at = now
      call('SET', KEYS[i], pack('>dd', now, kept_level), 'PX', ceil(kept_level / amount / 1000))
    end
    level = max(0, kept_level - (now - at) * amount)
  end

  local charged = level + cost * span
  local wait = max(0, ceil((charged - amount * span) / amount))
  return wait, amount - level / span, ceil(level / amount), ceil(charged / amount), pack('>dd', now, charged)
end
""",
    # A list with one entry for each charge: when it was, how much all before it came to, how much it was.
    # What is past goes in steps that grow: usually it is one entry, after a burst it may be thousands.
    "moving-window": """\
local function look(i, amount, span, cost)
  local key, newest_at, total, first = KEYS[i], now - span, 0, 0
  local oldest, step = call('LINDEX', key, 0), 1
  while oldest and read('>d', oldest) + span <= now do
    local entries, past = call('LRANGE', key, 0, step - 1), 0
    while past < #entries and read('>d', entries[past + 1]) + span <= now do
      past = past + 1
    end
    call('LTRIM', key, past, -1)
    oldest, step = call('LINDEX', key, 0), min(1000, step * 8)
  end
  if oldest then
    local at, before, units = read('>ddd', call('LINDEX', key, -1))
    newest_at, total = at, before + units
    first = select(2, read('>dd', oldest))
    if at > now then
      newest_at, total, first = now, total - first, 0
      call('DEL', key)
      call('RPUSH', key, pack('>ddd', now, 0, total))
      call('PEXPIRE', key, ceil(span / 1000))
    end
  end

  local used = total - first
  local wait, over = 0, used + cost - amount
  if over > 0 and cost <= amount then
    for _, entry in ipairs(call('LRANGE', key, 0, over - 1)) do
      local at, before, units = read('>ddd', entry)
      wait = at + span - now
      if before + units - first >= over then
        break
      end
    end
  end
  return wait, amount - used, newest_at + span - now, span, pack('>ddd', now, total, cost)
end

local function write(i, state, _, expiry)
  call('RPUSH', KEYS[i], state)
  call('PEXPIRE', KEYS[i], expiry)
end
""",
}

# `spare` may be rounded either way; what remains is kept at one with the decision. A cost of 0 is only a look.
_ENDING: Final = """\
local function read_limit(i)
  return read('>ddd', ARGV[1], 24 * i - 23)
end

local states, offsets, expiries, verdicts, has_room = {}, {}, {}, {}, true
for i = 1, #KEYS do
  local amount, span, cost = read_limit(i)
  local wait, spare, fresh, charged_fresh, state, offset = look(i, amount, span, cost)
  if cost > 0 then
    if wait > 0 or cost > amount then
      has_room = false
      break
    end
    fresh, states[i], offsets[i], expiries[i] = charged_fresh, state, offset, ceil(charged_fresh / 1000)
  end
  verdicts[i] = pack('>ddd', 1, max(0, floor(spare) - cost), fresh)
end

for i = 1, #KEYS do
  if not has_room then
    local amount, span, cost = read_limit(i)
    local wait, spare, fresh = look(i, amount, span, cost)
    if cost > amount then
      wait = span
    end
    if wait > 0 and cost > 0 then
      verdicts[i] = pack('>ddd', 0, max(0, min(cost - 1, floor(spare))), wait)
    else
      verdicts[i] = pack('>ddd', 1, max(cost, floor(spare)), fresh)
    end
  elseif states[i] then
    write(i, states[i], offsets[i], expiries[i])
  end
end
return table.concat(verdicts)
"""

SCRIPTS: Final[Mapping[str, str]] = {
    strategy: _BEGINNING + counting + _ENDING for strategy, counting in _STRATEGIES.items()
}
