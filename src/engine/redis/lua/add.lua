-- Adds to one integer that stays: the short way of what `batch.lua` does. KEYS are hash and index of its namespace.
--
-- ARGV: key, now, now in microseconds, the summand. Answers revision and sum, or BATCH where it takes the long way: a new
-- namespace or key, another kind, an entry that goes, one that a snapshot needs, a sum out of range.

local key, now = ARGV[1], ARGV[2]
local sub, struct = string.sub, struct

local found = redis.call('HMGET', KEYS[1], '\255', key)
local record, old = found[1], found[2]
if not record or not old or sub(old, 2, 2) ~= '\0' or sub(old, 40, 47) ~= '\127\255\255\255\255\255\255\255' then
  return 'BATCH'
end
local last, _, count, bytes, top, mark = struct.unpack('>I8I8I8I8I8I8', record)
if mark ~= 0 and (struct.unpack('>I8', old, 13)) < mark then return 'BATCH' end

local old_high, old_low = struct.unpack('>i4I4', old, 49)
local high, low = struct.unpack('>i4I4', ARGV[4])
high, low = high + old_high, low + old_low
if low >= 4294967296 then high, low = high + 1, low - 4294967296 end
if high > 2147483647 or high < -2147483648 then return 'BATCH' end

local function size(high, low)
  if high == 0 then return low < 128 and 1 or low < 256 and 2 or low < 65536 and 3 or 5 end
  if high ~= -1 then return 9 end
  return low >= 4294967264 and 1 or low >= 4294967168 and 2 or low >= 4294934528 and 3 or low >= 2147483648 and 5 or 9
end
local revision = math.max(last + 1, tonumber(ARGV[3]))
local total = struct.pack('>i4I4', high, low)
redis.call('HSET', KEYS[1],
  key, '\151\0\207' .. struct.pack('>I8BI8B', revision, 207, top, 211) .. sub(old, 22, 29) .. '\211' .. now .. sub(old, 39, 48)
    .. total,
  '\255', struct.pack('>I8I8I8I8', revision, revision, count, bytes + size(high, low) - size(old_high, old_low))
    .. sub(record, 33))
return { revision, total }
