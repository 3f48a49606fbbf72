-- Lists a namespace's live keys: KEYS[1] is its index. ARGV: lower bound, upper bound, most, order, the first expiry that is not
-- due. Bounds are members of the index behind [ or (.

local call, sub = redis.call, string.sub
local low, high, most, order, due = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]

local gone = {}
for _, member in ipairs(call('ZRANGEBYLEX', KEYS[1], '[x', '(' .. due)) do gone[sub(member, 10)] = true end

local keys = {}
while #keys < most do
  local wanted = most - #keys
  local members
  if order == 'down' then
    members = call('ZREVRANGEBYLEX', KEYS[1], high, low, 'LIMIT', 0, wanted)
  else
    members = call('ZRANGEBYLEX', KEYS[1], low, high, 'LIMIT', 0, wanted)
  end
  for _, member in ipairs(members) do
    local key = sub(member, 2)
    if not gone[key] then keys[#keys + 1] = key end
  end
  if #members < wanted then break end
  if order == 'down' then high = '(' .. members[#members] else low = '(' .. members[#members] end
end
return keys
