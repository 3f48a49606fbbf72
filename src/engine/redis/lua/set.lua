-- Sets one key for good: the short way of what `batch.lua` does. KEYS are hash and index of its namespace.
--
-- ARGV: key, now, now in microseconds, kind and value, and the revision that the key must have, 0 = absent, '' = any. Answers the
-- revision, or a conflict as `batch.lua` does, or BATCH where it takes the long way: a new namespace, or an entry that goes.

local key, now, expected = ARGV[1], ARGV[2], ARGV[5]
local sub, byte, struct = string.sub, string.byte, struct
local NEVER = '\127\255\255\255\255\255\255\255'

local found = redis.call('HMGET', KEYS[1], '\255', key)
local record, old = found[1], found[2]
if not record or (old and sub(old, 40, 47) ~= NEVER) then return 'BATCH' end
local last, _, count, bytes, top, mark = struct.unpack('>I8I8I8I8I8I8', record)

if expected ~= '' then
  local actual = old and (struct.unpack('>I8', old, 4)) or 0
  if actual ~= tonumber(expected) then return { 'CONFLICT', 0, actual } end
end

local kind, created = byte(ARGV[4]), now
-- An integer counts in its shortest form, which the long way knows.
if kind == 0 or (old and byte(old, 2) == 0) then
  local function size(at, text)
    local high, low = struct.unpack('>i4I4', text, at)
    if high == 0 then return low < 128 and 1 or low < 256 and 2 or low < 65536 and 3 or 5 end
    if high ~= -1 then return 9 end
    return low >= 4294967264 and 1 or low >= 4294967168 and 2 or low >= 4294934528 and 3 or low >= 2147483648 and 5 or 9
  end
  bytes = bytes + (kind == 0 and size(3, ARGV[4]) or #ARGV[4] - 1)
  if old then bytes = bytes - (byte(old, 2) == 0 and size(49, old) or #old - 47) end
else
  bytes = bytes + #ARGV[4] - 1 - (old and #old - 47 or 0)
end

local is_kept = mark == 0 or (old and (struct.unpack('>I8', old, 13)) >= mark)
local undo = not is_kept and '\254' .. sub(record, 41, 48) .. key
if old then
  created = sub(old, 22, 29)
else
  count = count + 1
  is_kept = is_kept or redis.call('HEXISTS', KEYS[1], undo) == 1
end
local revision = math.max(last + 1, tonumber(ARGV[3]))
local entry = '\151' .. sub(ARGV[4], 1, 1) .. '\207' .. struct.pack('>I8BI8B', revision, 207, top, 211)
  .. created .. '\211' .. now .. '\211' .. NEVER .. sub(ARGV[4], 2)
record = struct.pack('>I8I8I8I8', revision, revision, count, bytes) .. sub(record, 33)

if is_kept then
  redis.call('HSET', KEYS[1], key, entry, '\255', record)
else
  redis.call('HSET', KEYS[1], key, entry, '\255', record, undo, old or '')
  redis.call('ZADD', KEYS[2], 0, 'a' .. sub(record, 41, 48) .. key)
end
if not old then redis.call('ZADD', KEYS[2], 0, 'k' .. key) end
return revision
