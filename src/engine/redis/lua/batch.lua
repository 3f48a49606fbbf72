-- Carries out one batch: KEYS are hash and index of each namespace; all or nothing.
--
-- ARGV: now, now in microseconds, the first expiry that is not due, born, conditions, operations; then four fields for each
-- condition (code, namespace, key, revision) and five for each operation (code, namespace, key, expires, data). `born` is empty
-- while it is not known that every namespace is in the catalogue; what would make one then answers REGISTER and writes nothing.

local now, micros, due, born = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local conditions, operations = tonumber(ARGV[5]), tonumber(ARGV[6])
local now_time = as_time(now)

local spaces = {}
for i = 1, #KEYS, 2 do
  local space = open(KEYS[i], KEYS[i + 1], born)
  call('ZCARD', space.index) -- fails where the name is somebody else's key, before anything is written
  space.wanted, space.found = {}, {}
  spaces[#spaces + 1] = space
end

local function each(from, count, stride, work)
  for i = 0, count - 1 do
    local at = from + i * stride
    local answer = work(i, ARGV[at], spaces[tonumber(ARGV[at + 1])], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
    if answer then return answer end
  end
end
local function each_condition(work) return each(7, conditions, 4, work) end
local function each_operation(work) return each(7 + conditions * 4, operations, 5, work) end

local function want(_, code, space, key)
  if code ~= 'n' and code ~= 'D' and code ~= 'C' and code ~= 'P' then space.wanted[#space.wanted + 1] = key end
end
each_condition(want)
each_operation(want)
for _, space in ipairs(spaces) do
  local wanted = space.wanted
  for first = 1, #wanted, 7000 do
    local last = math.min(first + 6999, #wanted)
    local found = call('HMGET', space.hash, unpack(wanted, first, last))
    for i = first, last do space.found[wanted[i]] = found[i - first + 1] end
  end
end

local function live(space, key)
  local found = space.found[key]
  return found and as_time(expires_of(found)) > now_time and found
end

local refused = each_condition(function(i, code, space, key, revision)
  local actual
  if code == 'n' then
    actual = is_live(space, due) and space.shown or 0
  else
    local found = live(space, key)
    actual = found and revision_of(found) or 0
  end
  local holds
  if code == 'a' then holds = actual == 0
  elseif code == 'p' then holds = actual ~= 0
  else holds = actual == tonumber(revision) end
  if not holds then return { 'CONFLICT', i, actual } end
end)
if refused then return refused end

-- The sum of two integers of eight bytes, nil where it leaves them.
local function sum(a, b)
  local high, low = struct.unpack('>i4I4', a)
  local by_high, by_low = struct.unpack('>i4I4', b)
  low, high = low + by_low, high + by_high
  if low >= 4294967296 then low, high = low - 4294967296, high + 1 end
  if high > 2147483647 or high < -2147483648 then return nil end
  return struct.pack('>i4I4', high, low)
end

-- What an operation will do, found out before anything is written: a function, or nil for nothing.
local plans, results = {}, { 'OK' }
local function answer(i, revision, written, integer)
  results[3 * i + 2], results[3 * i + 3], results[3 * i + 4] = revision, written, integer or false
end

local function next_revision(space)
  space.last = math.max(space.last + 1, micros)
  space.shown = space.last
  return space.last
end

local function write(i, space, key, kind, created, expires, value, integer)
  local revision, old = next_revision(space), space.found[key]
  put(space, key, old, entry(kind, revision, space.top, created, now, expires, value))
  space.sweeps = space.sweeps or expires ~= NEVER
  answer(i, revision, 1, integer)
end

local plan = {}

function plan.s(i, space, key, expires, data)
  local standing = live(space, key)
  local created = standing and created_of(standing) or now
  return function() write(i, space, key, sub(data, 1, 1), created, expires, sub(data, 2)) end
end

function plan.e(i, space, key, expires, data)
  local standing = live(space, key)
  if not standing then return plan.s(i, space, key, expires, data) end
  answer(i, revision_of(standing), 0)
end

function plan.d(i, space, key)
  if not live(space, key) then return answer(i, 0, 0) end
  return function()
    drop(space, key, space.found[key])
    answer(i, next_revision(space), 1)
  end
end

function plan.t(i, space, key, expires)
  local standing = live(space, key)
  if not standing then return answer(i, 0, 0) end
  return function()
    write(i, space, key, sub(standing, 2, 2), created_of(standing), expires, value_of(standing))
  end
end

function plan.a(i, space, key, expires, by)
  local standing, total, created = live(space, key), by, now
  if standing then
    if kind_of(standing) ~= 0 then return nil, { 'WRONGTYPE', i, kind_of(standing) } end
    local integer = sub(standing, HEADER + 2)
    total, created, expires = sum(integer, by), created_of(standing), expires_of(standing)
    if not total then return nil, { 'OVERFLOW', i, integer } end
  end
  return function() write(i, space, key, '\0', created, expires, '\211' .. total, total) end
end

function plan.D(i, space)
  if not is_live(space, due) then return answer(i, 0, 0) end
  return function()
    empty(space)
    answer(i, next_revision(space), 1)
  end
end

-- Fills a namespace that holds nothing live with the entries of another one, under one revision.
local function paste(i, target, copied)
  return function()
    empty(target)
    save(target)
    local revision = next_revision(target)
    for key, e in pairs(copied) do
      put(target, key, false,
        entry(sub(e, 2, 2), revision, target.top, now, now, expires_of(e), value_of(e)))
    end
    answer(i, revision, 1)
  end
end

function plan.C(i, target, _, _, data)
  local source, copied = spaces[tonumber(data)], {}
  if not is_live(source, due) then return answer(i, 0, 0) end
  if is_live(target, due) then return nil, { 'TAKEN', i, target.shown } end
  local all = call('HGETALL', source.hash)
  for at = 1, #all, 2 do
    local first = byte(all[at])
    if (not first or first < 254) and as_time(expires_of(all[at + 1])) > now_time then
      copied[all[at]] = all[at + 1]
    end
  end
  return paste(i, target, copied)
end

-- As C, with the entries themselves: each key and each entry behind its length.
function plan.P(i, target, _, _, data)
  if is_live(target, due) then return nil, { 'TAKEN', i, target.shown } end
  local copied, at, key, e = {}, 1, nil, nil
  while at <= #data do
    key, e, at = struct.unpack('>I4c0I4c0', data, at)
    copied[key] = e
  end
  return paste(i, target, copied)
end

refused = each_operation(function(i, code, space, key, expires, data)
  local work, failure = plan[code](i, space, key, expires, data)
  if failure then return failure end
  if work and space.is_new and not born then return { 'REGISTER' } end
  plans[#plans + 1] = work
  space.is_changed = space.is_changed or work ~= nil
end)
if refused then return refused end

for _, work in ipairs(plans) do work() end
for _, space in ipairs(spaces) do
  if space.is_changed then save(space) end
  if space.sweeps then
    sweep(space, due, 16)
    save(space)
  end
end
return results
