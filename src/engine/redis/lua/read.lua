-- Reads keys of several namespaces in one instant: KEYS are their hashes. ARGV: for each hash how many keys, then those.

local found, at = {}, 1
for _, hash in ipairs(KEYS) do
  local count = tonumber(ARGV[at])
  for i = at + 1, at + count do found[#found + 1] = redis.call('HGET', hash, ARGV[i]) end
  at = at + count + 1
end
return found
