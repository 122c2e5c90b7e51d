-- A table is emptied a little and filled again, many times over: every element must be its own index.
local t = {}
for i = 1, 400 do t[i] = i end
mark(t)
local seed = 7
for round = 1, 170 do
  seed = (seed * 1103515245 + 12345) % 2147483648
  local taken = round == 170 and 101 or seed // 65536 % 60
  for _ = 1, taken do table.remove(t) end
  local text = {}
  for i = 1, 20 do text[i] = string.format("%d:%s", i, string.rep("x", i)) end
  assert(#table.concat(text) > 200)
  for i = #t + 1, 400 do table.insert(t, i) end
end
for i = 1, #t do assert(t[i] == i, "element " .. i .. " is " .. tostring(t[i])) end
