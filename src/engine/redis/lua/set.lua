-- Sets one key for good: the short way of what `batch.lua` does. KEYS are hash and index of its namespace.
--
-- ARGV: key, now, now in microseconds, kind, value, and the revision that the key must have, 0 = absent, '' = any. Answers the
-- revision, or a conflict as `batch.lua` does, or BATCH where it takes the long way: a new namespace, or an entry that goes.
-- Every call of a library costs as much as a command, so each string is taken apart, and put together, by one.

local key, now, kind, value = ARGV[1], ARGV[2], string.byte(ARGV[4]), ARGV[5]
local pack, unpack = struct.pack, struct.unpack
local NEVER = '\127\255\255\255\255\255\255\255'

local found = redis.call('HMGET', KEYS[1], '\255', key)
local old = found[2]
if not found[1] then return 'BATCH' end
local last, _, count, bytes, top, mark, born = unpack('>I8I8I8I8I8I8I8', found[1])

local actual, created, since, old_kind = 0, now, 0, nil
if old then
  local expires
  old_kind, actual, since, created, expires = unpack('>xBxI8xI8xc8xxxxxxxxxxc8', old)
  if expires ~= NEVER then return 'BATCH' end
end
if ARGV[6] ~= '' and actual ~= tonumber(ARGV[6]) then return { 'CONFLICT', 0, actual } end

if kind ~= 0 and old_kind ~= 0 then
  bytes = bytes + #value - (old and #old - 47 or 0)
else
  -- An integer counts in its shortest form.
  local function size(text, at)
    local high, low = unpack('>i4I4', text, at)
    if high == 0 then return low < 128 and 1 or low < 256 and 2 or low < 65536 and 3 or 5 end
    if high ~= -1 then return 9 end
    return low >= 4294967264 and 1 or low >= 4294967168 and 2 or low >= 4294934528 and 3 or low >= 2147483648 and 5 or 9
  end
  bytes = bytes + (kind == 0 and size(value, 2) or #value)
  if old then bytes = bytes - (old_kind == 0 and size(old, 49) or #old - 47) end
end
if not old then count = count + 1 end
local revision = math.max(last + 1, tonumber(ARGV[3]))
local entry = pack('>BBBI8BI8Bc8Bc8Bc8', 151, kind, 207, revision, 207, top, 211, created, 211, now, 211, NEVER) .. value
local record = pack('>I8I8I8I8I8I8I8', revision, revision, count, bytes, top, mark, born)

-- The index first: where its name is somebody else's key, nothing is written.
if not old then redis.call('ZADD', KEYS[2], 0, 'k' .. key) end
if mark == 0 or (old and since >= mark) then
  redis.call('HSET', KEYS[1], key, entry, '\255', record)
else
  -- The newest snapshot needs what stood there, unless that is kept already.
  local undo = pack('>I8', mark) .. key
  if old or redis.call('HEXISTS', KEYS[1], '\254' .. undo) == 0 then
    redis.call('ZADD', KEYS[2], 0, 'a' .. undo)
    redis.call('HSET', KEYS[1], key, entry, '\255', record, '\254' .. undo, old or '')
  else
    redis.call('HSET', KEYS[1], key, entry, '\255', record)
  end
end
return revision
