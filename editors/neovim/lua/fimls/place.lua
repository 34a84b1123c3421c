--- What stands around the cursor of a buffer.
local api = vim.api

local M = {}

--- Whether several cursors edit this buffer, by any of the plugins that do it.
function M.several_cursors(buf)
  if vim.b[buf].visual_multi then
    return true
  end
  local multicursor = package.loaded['multicursor-nvim']
  if multicursor and type(multicursor.numCursors) == 'function' then
    local ok, count = pcall(multicursor.numCursors)
    return ok and count > 1
  end
  return false
end

--- Whether the cursor (0-based row, byte column) has a letter on both sides.
function M.inside_word(buf, cursor)
  local line = api.nvim_buf_get_lines(buf, cursor[1], cursor[1] + 1, false)[1] or ''
  return vim.fn.match(line:sub(1, cursor[2]), [[\k$]]) >= 0
    and vim.fn.match(line:sub(cursor[2] + 1), [[^\k]]) >= 0
end

--- The item chosen in the popup menu; the server's answer must begin with it.
function M.selected_in_menu(buf, cursor, encoding)
  if vim.fn.pumvisible() == 0 then
    return nil
  end
  local menu = vim.fn.complete_info({ 'selected', 'items' })
  local item = menu.selected >= 0 and menu.items[menu.selected + 1]
  if not item then
    return nil
  end
  -- Neovim has put the word into the buffer already.
  local position = vim.lsp.util.make_position_params(0, encoding).position
  local line = api.nvim_buf_get_lines(buf, cursor[1], cursor[1] + 1, false)[1]
  local before = line:sub(1, cursor[2])
  if before:sub(-#item.word) ~= item.word then
    return nil
  end
  local units = encoding == 'utf-8' and #item.word
    or encoding == 'utf-32' and vim.fn.strchars(item.word)
    or vim.fn.strutf16len(item.word)
  local start = { line = position.line, character = position.character - units }
  return { range = { start = start, ['end'] = position }, text = item.word }
end

return M
