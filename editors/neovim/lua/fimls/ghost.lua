--- Draws a suggestion with extmarks: the renderer for Neovim 0.10 and 0.11, and for whoever
--- prefers it. `native.lua` has the same functions on top of vim.lsp.inline_completion.
local Suggestion = require('fimls.suggestion')
local api = vim.api

local M = { name = 'own' }

local namespace = api.nvim_create_namespace('fimls')

function M.available()
  return true
end

function M.attach()
  return true
end

function M.offer() end

function M.detach(buf)
  M.hide(buf)
end

function M.hide(buf)
  if api.nvim_buf_is_valid(buf) then
    api.nvim_buf_clear_namespace(buf, namespace, 0, -1)
  end
end

--- Shows what is left of a suggestion at the cursor.
---@param hint? string  such as "(2/3)"
function M.show(buf, _, cursor, rest, between, hint)
  local lines = vim.split(rest, '\n', { plain = true })
  local first = table.remove(lines, 1)
  local row, col = cursor[1], cursor[2]
  local below = vim.tbl_map(function(line)
    return { { line, 'FimlsGhost' } }
  end, lines)
  local pieces = Suggestion.pieces(first, between)
  M.hide(buf)
  if not pieces then
    api.nvim_buf_set_extmark(buf, namespace, row, col, {
      virt_text = { { first, 'FimlsGhost' } },
      virt_text_pos = 'overlay',
      hl_mode = 'replace',
    })
  else
    for index, piece in ipairs(pieces) do
      local chunks = { { piece[2], 'FimlsGhost' } }
      if hint and index == #pieces then
        chunks[2] = { ' ' .. hint, 'FimlsHint' }
      end
      api.nvim_buf_set_extmark(buf, namespace, row, col + piece[1], {
        virt_text = chunks,
        virt_text_pos = 'inline',
        hl_mode = 'replace',
      })
    end
  end
  if #below > 0 then
    api.nvim_buf_set_extmark(buf, namespace, row, col, { virt_lines = below })
  end
end

return M
