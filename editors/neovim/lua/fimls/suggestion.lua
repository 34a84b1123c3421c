--- A suggestion held against a buffer that goes on changing under it.
---
--- It replaces the text from `row`, `col` (0-based, bytes) to a place that is remembered from the
--- far side: `rows_below` lines from the end of the buffer, followed by `tail` on its line. So
--- typing between the two ends moves neither, and what has been typed is what lies between the
--- start and the cursor.
local api = vim.api

---@class fimls.Suggestion
---@field buf integer
---@field text string  what is to stand between start and end
---@field row integer
---@field col integer
---@field rows_below integer
---@field tail string
---@field command? lsp.Command  reported to the server on acceptance
---@field client_id integer
local Suggestion = {}
Suggestion.__index = Suggestion

local function line_at(buf, row)
  return api.nvim_buf_get_lines(buf, row, row + 1, false)[1]
end

--- Byte column of an LSP position, in whatever unit the server counts.
local function byte_column(line, character, encoding)
  if encoding == 'utf-8' then
    return math.min(character, #line)
  end
  if vim.fn.has('nvim-0.11') == 1 then
    return vim.str_byteindex(line, encoding, character, false)
  end
  local utf32, utf16 = vim.str_utfindex(line)
  local is_utf16 = encoding == 'utf-16'
  return vim.str_byteindex(line, math.min(character, is_utf16 and utf16 or utf32), is_utf16)
end

--- Makes a suggestion of an LSP item. nil when it cannot be placed in the buffer as it is now.
---@param item lsp.InlineCompletionItem
---@return fimls.Suggestion?
function Suggestion.new(buf, item, cursor, client)
  local text = type(item.insertText) == 'table' and item.insertText.value or item.insertText
  local first, last = { cursor[1], cursor[2] }, { cursor[1], cursor[2] }
  if item.range then
    for place, position in pairs({ [first] = item.range.start, [last] = item.range['end'] }) do
      local line = line_at(buf, position.line)
      if not line then
        return nil
      end
      place[1] = position.line
      place[2] = byte_column(line, position.character, client.offset_encoding)
    end
  end
  local last_line = line_at(buf, last[1])
  return setmetatable({
    buf = buf,
    text = (text:gsub('\r\n?', '\n')),
    row = first[1],
    col = first[2],
    rows_below = api.nvim_buf_line_count(buf) - last[1],
    tail = last_line:sub(last[2] + 1),
    command = item.command,
    client_id = client.id,
  }, Suggestion)
end

--- Where the replaced text ends now, or nil when what followed it is gone.
function Suggestion:finish()
  local row = api.nvim_buf_line_count(self.buf) - self.rows_below
  local line = row >= self.row and line_at(self.buf, row)
  if not line or #line < #self.tail or line:sub(#line - #self.tail + 1) ~= self.tail then
    return nil
  end
  return row, #line - #self.tail
end

--- What is left to insert at the cursor, and the buffer's own text between cursor and end.
--- nil as soon as something was typed that the suggestion does not begin with.
---@return string? rest
---@return string? between
function Suggestion:rest(cursor)
  local row, col = cursor[1], cursor[2]
  local end_row, end_col = self:finish()
  if not end_row or row < self.row or (row == self.row and col < self.col) then
    return nil
  end
  if row > end_row or (row == end_row and col > end_col) then
    return nil
  end
  local ok, typed = pcall(api.nvim_buf_get_text, self.buf, self.row, self.col, row, col, {})
  if not ok then
    return nil
  end
  local done = table.concat(typed, '\n')
  if self.text:sub(1, #done) ~= done then
    return nil
  end
  local between = table.concat(api.nvim_buf_get_text(self.buf, row, col, end_row, end_col, {}), '\n')
  return self.text:sub(#done + 1), between
end

--- How many bytes of `between` turn up, in order, in `piece`: a closer that the editor put there
--- already is part of the suggestion and need not be replaced before its turn has come.
local function met(piece, between)
  local n = 0
  for i = 1, #piece do
    if n < #between and piece:byte(i) == between:byte(n + 1) then
      n = n + 1
    end
  end
  return n
end

--- Puts `piece`, a beginning of the rest, into the buffer and the cursor behind it.
---@param whole boolean  whether piece is all that is left
function Suggestion:insert(piece, whole)
  local cursor = api.nvim_win_get_cursor(0)
  local row, col = cursor[1] - 1, cursor[2]
  local _, between = self:rest({ row, col })
  if not between then
    return
  end
  local end_row, end_col = self:finish()
  if not whole then
    local n = between:find('\n', 1, true) and 0 or met(piece, between)
    end_row, end_col = row, col + n
  end
  local lines = vim.split(piece, '\n', { plain = true })
  api.nvim_buf_set_text(self.buf, row, col, end_row, end_col, lines)
  local at = #lines == 1 and col or 0
  api.nvim_win_set_cursor(0, { row + #lines, at + #lines[#lines] })
end

--- The first line of `rest` cut where the buffer's own text stands between: a list of
--- { offset in between, new text }. nil when the one is not a part of the other.
---@return { [1]: integer, [2]: string }[]?
function Suggestion.pieces(first_line, between)
  if met(first_line, between) < #between then
    return nil
  end
  local pieces, n, from = {}, 0, 1
  for i = 1, #first_line do
    if n < #between and first_line:byte(i) == between:byte(n + 1) then
      if i > from then
        pieces[#pieces + 1] = { n, first_line:sub(from, i - 1) }
      end
      n, from = n + 1, i + 1
    end
  end
  if from <= #first_line then
    pieces[#pieces + 1] = { n, first_line:sub(from) }
  end
  return pieces
end

--- The next word of `rest` with the space before it (a line break and its indentation too).
function Suggestion.word(rest)
  local length = vim.fn.matchend(rest, [=[^\_s*\%(\k\+\|[^[:keyword:][:space:]]\+\)]=])
  return length > 0 and rest:sub(1, length) or rest
end

--- The rest of the line; the line break and the line after it when nothing is left of this one.
function Suggestion.line(rest)
  return rest:match('^\n*[^\n]+') or rest
end

return Suggestion
