-- The catalogue: which namespaces there are, and which snapshots. KEYS are its index and its hash, ARGV a verb and what it takes.
--
-- Members of the index: n namespace | s snapshot | the anchor. Fields of the hash: n namespace = when it was claimed; s snapshot =
-- state, touched, taken, parent, entries, bytes; id = the last number given; last = the last snapshot of the history; token =
-- who took the last one; the anchor = the version of the layout. States: p pending, r ready, v a view, d being dropped. The verbs whose names end in `_all` change
-- every namespace in one instant, those in `_one` a namespace of another slot; they are for a single server, where a script may touch keys that it does not declare.

local names, rows = KEYS[1], KEYS[2]
local LAYOUT = '1'

local function anchor()
  if call('HSETNX', rows, ANCHOR, LAYOUT) == 1 then call('ZADD', names, 0, ANCHOR) end
end
local function row_field(id) return 's' .. number(id) end
local function row(state, touched, taken, parent, entries, bytes)
  return state .. touched .. taken .. number(parent) .. number(entries) .. number(bytes)
end
local function get_number(field) return tonumber(call('HGET', rows, field) or '0') end
local function namespaces()
  local found = call('ZRANGEBYLEX', names, '[n', '(o')
  for i, member in ipairs(found) do found[i] = sub(member, 2) end
  return found
end

-- Runs `work` on the keys and the name of every namespace there is.
local function every(prefix, work)
  for _, name in ipairs(namespaces()) do
    local tag = '{' .. prefix .. ':' .. string.gsub(name, '[%%}]', { ['%'] = '%25', ['}'] = '%7D' }) .. '}'
    work(tag .. 'h', tag .. 'z', name)
  end
end

-- Fails where a key of a namespace is somebody else's, before a change of all of them has begun: nothing rolls back here.
local function require_own(prefix)
  every(prefix, function(hash, index)
    call('HLEN', hash)
    call('ZCARD', index)
  end)
end

-- Gives a snapshot its number, and says what came before it. A view has no place in the history.
local function begin(state, micros, parent_of)
  anchor()
  local id, parent = get_number('id') + 1, get_number('last')
  call('HSET', rows, 'id', id, row_field(id), row(state, micros, micros, parent, 0, 0))
  if parent_of == 'r' then call('HSET', rows, 'last', id) end
  call('ZADD', names, 0, row_field(id))
  return id, parent
end

local function forget(id)
  call('HDEL', rows, row_field(id))
  call('ZREM', names, row_field(id))
end

local function state_of(id)
  local found = call('HGET', rows, row_field(id))
  return found and sub(found, 1, 1)
end

local verbs = {}

-- Claims namespaces for their first write, and says which snapshots came before it.
function verbs.register(micros, ...)
  anchor()
  for _, name in ipairs({ ... }) do
    call('ZADD', names, 0, 'n' .. name)
    call('HSET', rows, 'n' .. name, micros)
  end
  return get_number('id')
end

-- Takes a namespace off that was found forgotten, unless it was claimed again since.
function verbs.unregister(name, claim)
  if call('HGET', rows, 'n' .. name) ~= claim then return 0 end
  call('HDEL', rows, 'n' .. name)
  return call('ZREM', names, 'n' .. name)
end

-- Every snapshot, whatever its state: number and row by turns.
function verbs.rows()
  local found = {}
  for _, member in ipairs(call('ZRANGEBYLEX', names, '[s', '(t')) do
    found[#found + 1] = as_number(sub(member, 2))
    found[#found + 1] = call('HGET', rows, member) or ''
  end
  return found
end

function verbs.begin(kind, micros)
  local id, parent = begin('p', micros, kind)
  return { id, parent, namespaces() }
end

-- Begins a view of one namespace; also says whether there is one. Nothing is cut that is not in the catalogue: it would be
-- a namespace that no list shows.
function verbs.begin_one(micros, name)
  local id = begin('p', micros)
  return { id, call('HEXISTS', rows, 'n' .. name) }
end

function verbs.finish(id, kind, entries, bytes)
  local found = call('HGET', rows, row_field(tonumber(id)))
  if found and sub(found, 1, 1) == kind then return 1 end
  if not found or sub(found, 1, 1) ~= 'p' then return 0 end
  call('HSET', rows, row_field(tonumber(id)), kind .. sub(found, 2, 25) .. number(tonumber(entries)) .. number(tonumber(bytes)))
  return 1
end

-- Marks a snapshot for dropping; false where there is none of the state that is asked for.
function verbs.begin_drop(id, state)
  id = tonumber(id)
  local found = call('HGET', rows, row_field(id))
  if not found or (state ~= '' and sub(found, 1, 1) ~= state) then return false end
  call('HSET', rows, row_field(id), 'd' .. sub(found, 2))
  return namespaces()
end

function verbs.end_drop(id) return forget(tonumber(id)) end

-- Says that a view is still read.
function verbs.renew(id, micros)
  local found = call('HGET', rows, row_field(tonumber(id)))
  if not found or sub(found, 1, 1) ~= 'v' then return 0 end
  call('HSET', rows, row_field(tonumber(id)), 'v' .. micros .. sub(found, 10))
  return 1
end

-- A repeat with the same token answers what the first one took.
function verbs.take_all(kind, micros, prefix, due, token)
  local last = call('HGET', rows, 'token')
  if last and sub(last, 1, #token) == token then
    local id = tonumber(sub(last, #token + 1))
    local found = call('HGET', rows, row_field(id))
    if found then return { id, as_number(sub(found, 18)), as_number(sub(found, 26)), as_number(sub(found, 34)) } end
  end
  local id, parent = begin('p', micros, kind)
  call('HSET', rows, 'token', token .. id)
  local entries, bytes = 0, 0
  every(prefix, function(hash, index)
    local found = mark(hash, index, id, due)
    entries, bytes = entries + found[1], bytes + found[2]
  end)
  call('HSET', rows, row_field(id), row(kind, micros, micros, parent, entries, bytes))
  return { id, parent, entries, bytes }
end

-- Of one namespace, whose keys come behind those of the catalogue.
function verbs.take_one(micros, name, due)
  local id = begin('v', micros)
  if call('HEXISTS', rows, 'n' .. name) == 1 then mark(KEYS[3], KEYS[4], id, due) end
  return id
end
function verbs.drop_one(id)
  free(open(KEYS[3], KEYS[4]), tonumber(id))
  forget(tonumber(id))
end

function verbs.drop_all(id, state, prefix)
  id = tonumber(id)
  local found = state_of(id)
  if not found or (state ~= '' and found ~= state) then return 0 end
  require_own(prefix)
  every(prefix, function(hash, index) free(open(hash, index), id) end)
  forget(id)
  return 1
end

function verbs.restore_all(id, prefix)
  id = tonumber(id)
  if state_of(id) ~= 'r' then return 'NOTFOUND' end
  require_own(prefix)
  every(prefix, function(hash, index) restore(open(hash, index), id) end)
  return 'OK'
end

function verbs.clear_all(micros, prefix)
  require_own(prefix)
  every(prefix, function(hash, index) clear(open(hash, index), tonumber(micros)) end)
end

function verbs.differ_all(first, second, prefix)
  first, second = tonumber(first), tonumber(second)
  if state_of(first) ~= 'r' or state_of(second) ~= 'r' then return 'NOTFOUND' end
  local found = {}
  every(prefix, function(hash, index, name)
    local keys = differ(open(hash, index), first, second)
    if keys and #keys[1] + #keys[2] + #keys[3] > 0 then found[#found + 1] = { name, keys[1], keys[2], keys[3] } end
  end)
  return found
end

-- How much is live everywhere.
function verbs.usage_all(prefix, due)
  local entries, bytes = 0, 0
  every(prefix, function(hash, index)
    local found = usage(open(hash, index), due)
    entries, bytes = entries + found[2], bytes + found[3]
  end)
  return { entries, bytes }
end

local verb = table.remove(ARGV, 1)
return verbs[verb](unpack(ARGV))
