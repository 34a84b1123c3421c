--- Shows suggestions through vim.lsp.inline_completion (Neovim 0.12), so that everything built on
--- that module (other plugins' keys, vim.lsp.inline_completion.get() and select()) works with them.
---
--- The module asks by itself 200 ms after every movement and shows what it has even where it no
--- longer fits. So the plugin asks instead, and hands it only what fits: that needs the module's
--- completor, which has no public name. Where it cannot be found, `available` is false and the
--- plugin draws by itself.
local api = vim.api

local M = { name = 'native' }

local function class()
  local ok, capability = pcall(require, 'vim.lsp._capability')
  return ok and type(capability) == 'table' and capability.all and capability.all.inline_completion
end

local WANTED = { 'automatic_request', 'abort', 'show', 'hide', 'handler', 'select' }

function M.available()
  if not vim.lsp.inline_completion then
    return false
  end
  local found = class()
  return found
      and type(found.active) == 'table'
      and vim.iter(WANTED):all(function(name)
        return type(found[name]) == 'function'
      end)
    or false
end

local function completor(buf)
  return class().active[buf]
end

--- Returns whether the module serves this buffer: it does so only where a server announces it.
function M.attach(buf)
  vim.lsp.inline_completion.enable(true, { bufnr = buf })
  local native = completor(buf)
  if native then
    native.automatic_request = function() end -- the plugin asks
  end
  return native ~= nil
end

function M.detach(buf)
  M.hide(buf)
  vim.lsp.inline_completion.enable(false, { bufnr = buf })
end

function M.hide(buf)
  local native = completor(buf)
  if native then
    native:abort()
  end
end

---@param hint? string
function M.show(buf, suggestion, cursor, rest, between, hint)
  local native = completor(buf)
  if not native then
    return
  end
  local end_row, end_col = suggestion:finish()
  native.current = {
    _index = suggestion.index,
    client_id = suggestion.client_id,
    insert_text = rest,
    command = suggestion.command,
    range = vim.range.lsp(buf, {
      start = { line = cursor[1], character = cursor[2] },
      ['end'] = { line = end_row, character = end_col },
    }, 'utf-8'), -- columns above are bytes
  }
  native:show(hint and ' ' .. hint or nil)
end

--- Puts all items where vim.lsp.inline_completion.select() finds them.
function M.offer(buf, client_id, items)
  local native = completor(buf)
  if native and native.client_state[client_id] then
    native.client_state[client_id].items = items
  end
end

return M
