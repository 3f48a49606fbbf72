-- The verbs of one namespace.

local space, verbs = open(KEYS[1], KEYS[2]), {}

function verbs.usage(due) return usage(space, due) end
function verbs.mark(id, due) return mark(KEYS[1], KEYS[2], tonumber(id), due) end
function verbs.free(id) return free(space, tonumber(id)) end
function verbs.restore(id) return restore(space, tonumber(id)) end
function verbs.clear(micros) return clear(space, tonumber(micros)) end
function verbs.differ(first, second) return differ(space, tonumber(first), tonumber(second)) or 'NOTFOUND' end

-- What a snapshot knows of the namespace: revision, entries, bytes; nothing where it was empty.
function verbs.cut(id)
  local found = cut(space, tonumber(id))
  if found == nil and not space.is_new then return 'NOTFOUND' end
  return found and { found.shown, found.count, found.bytes }
end

-- Keys that may have stood there at a snapshot, from `first` (behind [ or ( ) on and before `bound`: a list from the index and one
-- for each snapshot since, each cut off after `most`.
function verbs.candidates(id, first, bound, most, order)
  local found = cut(space, tonumber(id))
  if not found then return (found == nil and not space.is_new) and 'NOTFOUND' or {} end
  local lists = {}
  local function take(head)
    local low = sub(first, 1, 1) .. head .. sub(first, 2)
    local members
    if order == 'down' then
      members = call('ZREVRANGEBYLEX', space.index, '(' .. head .. bound, low, 'LIMIT', 0, most)
    else
      members = call('ZRANGEBYLEX', space.index, low, '(' .. head .. bound, 'LIMIT', 0, most)
    end
    for i, member in ipairs(members) do members[i] = sub(member, #head + 1) end
    lists[#lists + 1] = members
  end
  take('k')
  for _, at in ipairs(snapshots_from(space, tonumber(id))) do take('a' .. number(at)) end
  return lists
end

-- The entries of keys as they stood at a snapshot.
function verbs.at(id, ...)
  local found = cut(space, tonumber(id))
  if not found then return (found == nil and not space.is_new) and 'NOTFOUND' or {} end
  local ids, entries = snapshots_from(space, tonumber(id)), {}
  for i, key in ipairs({ ... }) do entries[i] = entry_at(space, key, ids) end
  return entries
end

-- Removes some of what is due, and tells how many.
function verbs.sweep(due, most)
  local removed = space.is_new and 0 or sweep(space, due, tonumber(most))
  if removed > 0 then save(space) end
  return removed
end

-- Removes what is due; a namespace that is empty, is in no snapshot and has not changed since `before` is forgotten.
function verbs.compact(due, before)
  if space.is_new then return 'FORGOTTEN' end
  sweep(space, due)
  save(space)
  if space.count > 0 or space.last >= tonumber(before) or #between(space, 's', 't', 1) > 0 then return 'KEPT' end
  call('DEL', space.hash, space.index)
  return 'FORGOTTEN'
end

local verb = table.remove(ARGV, 1)
return verbs[verb](unpack(ARGV))
