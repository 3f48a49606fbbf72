-- What is done with one namespace as a whole: KEYS are its hash and index, ARGV a verb and what it takes.
--
-- The functions also serve the catalogue's scripts, which do the same with every namespace at once.

-- What is live: revision, entries, bytes.
local function usage(space, due)
  local count, bytes = space.count, space.bytes
  for _, key in ipairs(due_keys(space, due)) do
    count, bytes = count - 1, bytes - size_of(call('HGET', space.hash, key))
  end
  return { space.shown, count, bytes }
end

-- Takes the cut of a snapshot. A later one that was quicker makes it stale: since then, entries are judged by that one.
local function mark(hash, index, id, due)
  local record, cut = call('HGET', hash, RECORD), number(id)
  if record and struct.unpack('>I8', record, 33) < id and call('ZLEXCOUNT', index, '[x', '(' .. due) == 0 then
    -- Nothing is due, so the record is all that changes: two of its numbers become the snapshot's.
    call('HSET', hash, RECORD, sub(record, 1, 32) .. cut .. cut .. sub(record, 49))
    call('ZADD', index, 0, 's' .. cut .. sub(record, 9, 32))
    local count, bytes = struct.unpack('>I8I8', record, 17)
    return { count, bytes }
  end
  local space = open(hash, index)
  if space.top > id then return 'STALE' end
  if space.top < id then
    if space.is_new then space.born = id - 1 end
    sweep(space, due)
    space.top, space.mark = id, id
    list(space, 's' .. cut .. number(space.shown) .. number(space.count) .. number(space.bytes))
    save(space)
  end
  return { space.count, space.bytes }
end

-- Forgets a snapshot: what only it needs goes, what the one before it needs too becomes that one's.
local function free(space, id)
  local member = between(space, 's' .. number(id), 's' .. number(id + 1), 1)[1]
  if not member then return end
  local before = call('ZREVRANGEBYLEX', space.index, '(s' .. number(id), '[s', 'LIMIT', 0, 1)[1]
  local older = before and as_number(sub(before, 2, 9)) or 0
  for _, undo in ipairs(between(space, 'a' .. number(id), 'a' .. number(id + 1))) do
    local key = sub(undo, 10)
    local field = undo_field(id, key)
    if older > 0 and call('HEXISTS', space.hash, undo_field(older, key)) == 0 then
      hold(space, undo_field(older, key), call('HGET', space.hash, field))
      list(space, 'a' .. number(older) .. key)
    end
    space.unset[#space.unset + 1] = field
    unlist(space, undo)
  end
  unlist(space, member)
  if space.mark == id then space.mark = older end
  save(space)
end

-- Makes the namespace what it was at a snapshot. Entries come back with their revisions; no revision is taken.
local function restore(space, id)
  local then_ = cut(space, id)
  if then_ == nil then return space.is_new and 'OK' or 'NOTFOUND' end
  if not then_ then
    if space.is_new or space.count == 0 then return 'OK' end
    empty(space)
  else
    local ids = snapshots_from(space, id)
    for _, key in ipairs(changed_keys(space, id)) do
      local old, new = call('HGET', space.hash, key), entry_at(space, key, ids)
      if new then
        put(space, key, old, with_since(new, space.top))
      elseif old then
        drop(space, key, old)
      end
    end
    space.shown = then_.shown
  end
  save(space)
  return 'OK'
end

local function clear(space, micros)
  if space.is_new or space.count == 0 then return end
  empty(space)
  space.last = math.max(space.last + 1, micros)
  space.shown = space.last
  save(space)
end

-- What happened between two snapshots, the older one first: keys added, removed, changed; nil = one of them is not there.
local function differ(space, first, second)
  local before, after = cut(space, first), cut(space, second)
  if before == nil or after == nil then
    if space.is_new then return { {}, {}, {} } end
    return nil
  end
  local added, removed, changed = {}, {}, {}
  local older, newer = snapshots_from(space, first), snapshots_from(space, second)
  if before or after then
    -- What is there at the second one only is all new.
    local keys = before and changed_keys(space, first, second) or changed_keys(space, second, nil, true)
    for _, key in ipairs(keys) do
      local was, is = before and entry_at(space, key, older), after and entry_at(space, key, newer)
      if not was and is then
        added[#added + 1] = key
      elseif was and not is then
        removed[#removed + 1] = key
      elseif was and (kind_of(was) ~= kind_of(is) or value_of(was) ~= value_of(is)) then
        changed[#changed + 1] = key
      end
    end
  end
  return { added, removed, changed }
end
