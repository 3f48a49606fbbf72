-- One namespace: its two keys, its record, and every change of an entry. Begins every script.
--
-- A change is collected and sent by `save`, so that everything is checked before the first write: nothing rolls back here.
-- Numbers of this file stay below 2^53; what may be larger (times, integers) is carried as its eight bytes.

local call, byte, sub, char = redis.call, string.byte, string.sub, string.char
local RECORD, ANCHOR, HEADER = '\255', '.', 47
local NEVER = '\127\255\255\255\255\255\255\255'

local function number(n) return struct.pack('>I8', n) end
local function as_number(bytes) return (struct.unpack('>I8', bytes)) end
local function as_time(bytes) return (struct.unpack('>i8', bytes)) end

-- Eight bytes of a time, made so that byte order is time order.
local function ordered(time) return char((byte(time) + 128) % 256) .. sub(time, 2) end

-- An entry is an array of seven in msgpack: kind, revision, since, created, updated, expires, value.
local function entry(kind, revision, since, created, updated, expires, value)
  return '\151' .. kind .. '\207' .. number(revision) .. '\207' .. number(since)
    .. '\211' .. created .. '\211' .. updated .. '\211' .. expires .. value
end
local function kind_of(e) return byte(e, 2) end
local function revision_of(e) return as_number(sub(e, 4, 11)) end
local function since_of(e) return as_number(sub(e, 13, 20)) end
local function created_of(e) return sub(e, 22, 29) end
local function expires_of(e) return sub(e, 40, 47) end
local function value_of(e) return sub(e, HEADER + 1) end
local function with_since(e, since) return sub(e, 1, 12) .. number(since) .. sub(e, 21) end

-- The length of the value as users see it: an integer is stored in nine bytes, but counts in its shortest form.
local function size_of(e)
  if kind_of(e) ~= 0 then return #e - HEADER end
  local high, low = struct.unpack('>i4I4', sub(e, HEADER + 2))
  if high == 0 then return low < 128 and 1 or low < 256 and 2 or low < 65536 and 3 or 5 end
  if high ~= -1 then return 9 end
  return low >= 4294967264 and 1 or low >= 4294967168 and 2 or low >= 4294934528 and 3 or low >= 2147483648 and 5 or 9
end

-- The namespace behind two keys. One that does not exist is empty, was born at `born`, and exists from its first `save` on.
local function open(hash, index, born)
  local space = { hash = hash, index = index, set = {}, unset = {}, add = {}, remove = {} }
  local record = call('HGET', hash, RECORD)
  if record then
    space.last, space.shown, space.count, space.bytes, space.top, space.mark, space.born =
      struct.unpack('>I8I8I8I8I8I8I8', record)
  else
    space.is_new, space.last, space.shown, space.count, space.bytes, space.mark = true, 0, 0, 0, 0, 0
    space.top, space.born = born or 0, born or 0
  end
  return space
end

-- Lua unpacks less than 8,000 values at once.
local function send(command, key, list)
  for first = 1, #list, 7000 do
    call(command, key, unpack(list, first, math.min(first + 6999, #list)))
  end
end

local function save(space)
  local set, add = space.set, space.add
  set[#set + 1] = RECORD
  set[#set + 1] = struct.pack('>I8I8I8I8I8I8I8', space.last, space.shown, space.count, space.bytes, space.top,
    space.mark, space.born)
  if space.is_new then
    add[#add + 1], add[#add + 2] = 0, ANCHOR
    space.is_new = nil
  end
  send('HDEL', space.hash, space.unset)
  send('HSET', space.hash, set)
  send('ZREM', space.index, space.remove)
  send('ZADD', space.index, add)
  space.set, space.unset, space.add, space.remove = {}, {}, {}, {}
end

local function list(space, member)
  local add = space.add
  add[#add + 1], add[#add + 2] = 0, member
end
local function unlist(space, member) space.remove[#space.remove + 1] = member end
local function hold(space, field, value)
  local set = space.set
  set[#set + 1], set[#set + 2] = field, value
end

-- Members of the index: k key | x expiry key | a snapshot key | s snapshot shown count bytes | the anchor.
local function expiry_member(key, e) return 'x' .. ordered(expires_of(e)) .. key end
local function undo_field(snapshot, key) return '\254' .. number(snapshot) .. key end

-- Keeps what stood under `key` when the newest snapshot was taken, unless that is kept already. `old` is false where nothing stood.
local function archive(space, key, old)
  if space.mark == 0 or (old and since_of(old) >= space.mark) then return end
  local field = undo_field(space.mark, key)
  if not old and call('HEXISTS', space.hash, field) == 1 then return end
  hold(space, field, old or '')
  list(space, 'a' .. number(space.mark) .. key)
end

local function put(space, key, old, new)
  archive(space, key, old)
  local is_moved = not old or expires_of(old) ~= expires_of(new)
  if not old then
    list(space, 'k' .. key)
    space.count = space.count + 1
  else
    space.bytes = space.bytes - size_of(old)
    if is_moved and expires_of(old) ~= NEVER then unlist(space, expiry_member(key, old)) end
  end
  if is_moved and expires_of(new) ~= NEVER then list(space, expiry_member(key, new)) end
  space.bytes = space.bytes + size_of(new)
  hold(space, key, new)
end

local function drop(space, key, old)
  archive(space, key, old)
  space.count, space.bytes = space.count - 1, space.bytes - size_of(old)
  unlist(space, 'k' .. key)
  if expires_of(old) ~= NEVER then unlist(space, expiry_member(key, old)) end
  space.unset[#space.unset + 1] = key
end

-- Members that sort from `first` on and before `bound`.
local function between(space, first, bound, limit)
  return call('ZRANGEBYLEX', space.index, '[' .. first, '(' .. bound, 'LIMIT', 0, limit or -1)
end

-- The keys that are due: `due` is the first expiry member that is not.
local function due_keys(space, due, limit)
  local keys = {}
  for i, member in ipairs(between(space, 'x', due, limit)) do keys[i] = sub(member, 10) end
  return keys
end

local function is_live(space, due)
  if space.count == 0 then return false end
  return space.count > call('ZLEXCOUNT', space.index, '[x', '(' .. due)
end

-- Removes what is due, and tells how many that was; it takes no revision. Nothing may be unsaved.
local function sweep(space, due, limit)
  local keys = due_keys(space, due, limit)
  for _, key in ipairs(keys) do drop(space, key, call('HGET', space.hash, key)) end
  return #keys
end

-- Removes every entry. Nothing may be unsaved, and the caller saves.
local function empty(space)
  if space.mark == 0 then
    call('DEL', space.hash, space.index)
    space.is_new = true
  else
    for _, member in ipairs(between(space, 'k', 'l')) do
      local key = sub(member, 2)
      drop(space, key, call('HGET', space.hash, key))
    end
  end
  space.count, space.bytes = 0, 0
end

-- What the snapshot `id` knows of the namespace: false = it was empty then, nil = there is no such snapshot.
local function cut(space, id)
  if space.born >= id then return false end
  local member = between(space, 's' .. number(id), 's' .. number(id + 1), 1)[1]
  if not member then return nil end
  local shown, count, bytes = struct.unpack('>I8I8I8', sub(member, 10))
  return { shown = shown, count = count, bytes = bytes }
end

-- The snapshots from `id` on that are kept, oldest first.
local function snapshots_from(space, id)
  local ids = {}
  for i, member in ipairs(between(space, 's' .. number(id), 't')) do ids[i] = as_number(sub(member, 2, 9)) end
  return ids
end

-- What stood under `key` at a snapshot; `ids` is it and all later ones.
local function entry_at(space, key, ids)
  local current = call('HGET', space.hash, key)
  if current and since_of(current) < ids[1] then return current end
  for _, id in ipairs(ids) do
    local kept = call('HGET', space.hash, undo_field(id, key))
    if kept then return kept ~= '' and kept end
  end
  return false
end

-- The keys that changed from one snapshot on, up to another one or till now, each once; `with_all` adds those that are there now.
local function changed_keys(space, first, bound, with_all)
  local keys, seen = {}, {}
  local function take(members, head)
    for _, member in ipairs(members) do
      local key = sub(member, head + 1)
      if not seen[key] then
        seen[key] = true
        keys[#keys + 1] = key
      end
    end
  end
  take(between(space, 'a' .. number(first), bound and 'a' .. number(bound) or 'b'), 9)
  if with_all then take(between(space, 'k', 'l'), 1) end
  return keys
end
