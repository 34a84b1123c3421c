--- Decides, for each buffer, when the server is asked and what is on the screen.
---
--- Asked: after typing, at the end of a line when Insert mode begins, and by hand. Not asked: after
--- moving, pasting or undoing, inside a word, in buffers that cannot be written, while a macro or
--- several cursors are at work. What is typed as suggested is not asked for again.
local Suggestion = require('fimls.suggestion')
local config = require('fimls.config')
local place = require('fimls.place')
local api = vim.api

local METHOD = 'textDocument/inlineCompletion'
local INVOKED, AUTOMATIC = 1, 2 -- InlineCompletionTriggerKind

local M = {}

---@class fimls.Session
---@field buf integer
---@field renderer table
---@field suggestions fimls.Suggestion[]
---@field index integer  which of them is shown
---@field tick integer  changedtick that has been dealt with
---@field cursor integer[]  0-based row and byte column that has been dealt with
---@field pending? { client: vim.lsp.Client, id: integer }
---@field unanswered? { tick: integer, cursor: integer[], kind: integer }  asked while there was no engine yet
---@field answered? { tick: integer, cursor: integer[], kind: integer }  what the suggestions are for
---@field timer? uv.uv_timer_t
---@field pasted boolean  the last change was too large to have been typed
---@field block boolean  Insert mode was entered for a whole block
local Session = {}
Session.__index = Session

local sessions = {} ---@type table<integer, fimls.Session>

--- The renderer that the options and this Neovim allow.
function M.renderer()
  local native = require('fimls.native')
  local wanted = config.current.renderer
  return wanted ~= 'own' and native.available() and native or require('fimls.ghost')
end

---@return fimls.Session?
function M.get(buf)
  return sessions[buf or api.nvim_get_current_buf()]
end

local function cursor_now()
  local cursor = api.nvim_win_get_cursor(0)
  return { cursor[1] - 1, cursor[2] }
end

local function inserting()
  return api.nvim_get_mode().mode:sub(1, 1) == 'i'
end

function Session:client()
  return vim.lsp.get_clients({ bufnr = self.buf, name = 'fimls' })[1]
end

--- Takes back the request on its way and the one that waits for a pause in typing.
function Session:cancel()
  if self.timer then
    self.timer:stop()
    self.timer:close()
    self.timer = nil
  end
  if self.pending then
    self.pending.client:cancel_request(self.pending.id)
    self.pending = nil
  end
end

function Session:drop()
  self:cancel()
  if #self.suggestions > 0 then
    self.suggestions = {}
    self.renderer.hide(self.buf)
  end
end

--- The suggestion on the screen with what is left of it, or nil.
function Session:shown()
  local suggestion = self.suggestions[self.index]
  if not suggestion or not inserting() then
    return nil
  end
  local rest, between = suggestion:rest(cursor_now())
  if not rest or rest == '' then
    return nil
  end
  return suggestion, rest, between
end

--- Redraws; returns whether anything that fits is left to show.
function Session:refresh(hint)
  local before = self.suggestions[self.index]
  -- Another item may go on where the shown one does not.
  self.suggestions = vim.tbl_filter(function(suggestion)
    local rest = suggestion:rest(cursor_now())
    return rest ~= nil and rest ~= ''
  end, self.suggestions)
  self.index = 1
  for index, suggestion in ipairs(self.suggestions) do
    suggestion.index = index
    if suggestion == before then
      self.index = index
    end
  end
  local suggestion, rest, between = self:shown()
  if not suggestion then
    self.suggestions = {}
    self.renderer.hide(self.buf)
    return false
  end
  self.renderer.show(self.buf, suggestion, cursor_now(), rest, between, hint)
  return true
end

--- Why this buffer is left alone right now, or nil.
---@return string?
function Session:reason_off()
  local buf = self.buf
  if vim.g.fimls_enabled == false or vim.b[buf].fimls_enabled == false then
    return 'turned off'
  elseif vim.tbl_contains(config.current.filetypes_off, vim.bo[buf].filetype) then
    return 'turned off for filetype ' .. vim.bo[buf].filetype
  elseif vim.bo[buf].readonly or not vim.bo[buf].modifiable then
    return 'the buffer is read-only'
  elseif self.block or place.several_cursors(buf) then
    return 'several cursors'
  elseif vim.fn.reg_recording() ~= '' or vim.fn.reg_executing() ~= '' then
    return 'a macro is being recorded or run'
  end
end

function Session:answer(err, result, client, context)
  self.pending = nil
  local stale = not api.nvim_buf_is_valid(self.buf)
    or self.buf ~= api.nvim_get_current_buf()
    or not inserting()
    or api.nvim_buf_get_changedtick(self.buf) ~= context.tick
    or not vim.deep_equal(cursor_now(), context.cursor)
  if err or stale then
    return
  end
  if type(result) ~= 'table' then
    local state = require('fimls.server').status.state -- which needs this module
    self.unanswered = state ~= 'idle' and state ~= 'thinking' and context or nil
  end
  local items = type(result) == 'table' and (result.items or result) or {}
  self.suggestions, self.index, self.answered = {}, 1, context
  for _, item in ipairs(items) do
    local suggestion = Suggestion.new(self.buf, item, context.cursor, client)
    if suggestion then
      table.insert(self.suggestions, suggestion)
    end
  end
  self.renderer.offer(self.buf, client.id, items)
  if not self:refresh() and context.kind == INVOKED then
    vim.notify('fimls: nothing to suggest here')
  end
end

---@param kind integer
function Session:ask(kind)
  self:cancel()
  local client = self:client()
  if not client then
    if kind == INVOKED then
      vim.notify('fimls: no server for this buffer; see :checkhealth fimls', vim.log.levels.WARN)
    end
    return
  end
  local cursor = cursor_now()
  local encoding = client.offset_encoding
  local params = {
    textDocument = vim.lsp.util.make_text_document_params(self.buf),
    position = vim.lsp.util.make_position_params(0, encoding).position,
    context = {
      triggerKind = kind,
      selectedCompletionInfo = place.selected_in_menu(self.buf, cursor, encoding),
    },
  }
  local context = {
    kind = kind,
    cursor = cursor,
    tick = api.nvim_buf_get_changedtick(self.buf),
  }
  local ok, id
  local function handler(err, result)
    if self.pending and self.pending.id ~= id then
      return -- a newer request is on its way
    end
    self:answer(err, result, client, context)
  end
  if vim.fn.has('nvim-0.11') == 1 then
    ok, id = client:request(METHOD, params, handler, self.buf)
  else
    ok, id = client.request(METHOD, params, handler, self.buf)
  end
  if ok then
    self.pending = { client = client, id = id }
  end
end

--- Whether nothing has been typed, moved or left since something was asked for.
function Session:is_there_still(asked)
  return asked
    and self.buf == api.nvim_get_current_buf()
    and inserting()
    and asked.tick == api.nvim_buf_get_changedtick(self.buf)
    and vim.deep_equal(asked.cursor, cursor_now())
end

--- The engine has become ready: what was asked for too early is asked for again.
function Session:ask_again()
  local asked = self.unanswered
  self.unanswered = nil
  if self:is_there_still(asked) then
    self:ask(asked.kind)
  end
end

--- What is shown was the beginning: the whole is there now, unless it was dismissed meanwhile.
function Session:grow()
  if self.index == 1 and self:shown() and self:is_there_still(self.answered) then
    self:ask(AUTOMATIC)
  end
end

function Session:ask_soon()
  local pause = config.current.debounce_ms
  if pause <= 0 then
    return self:ask(AUTOMATIC)
  end
  self:cancel()
  self.timer = vim.defer_fn(function()
    self.timer = nil
    if inserting() and api.nvim_get_current_buf() == self.buf then
      self:ask(AUTOMATIC)
    end
  end, pause)
end

--- Typing, moving, pasting: keep what fits, drop what does not, ask where it makes sense.
function Session:changed()
  local tick, cursor = api.nvim_buf_get_changedtick(self.buf), cursor_now()
  local typed = tick ~= self.tick
  local moved = not vim.deep_equal(cursor, self.cursor)
  if not typed and not moved then
    return
  end
  self.tick, self.cursor = tick, cursor
  local pasted = self.pasted
  self.pasted = false
  if #self.suggestions > 0 and typed and self:refresh() then
    return -- typed as suggested, nothing to ask
  end
  self:drop()
  local tree = vim.fn.undotree(self.buf)
  local undone = tree.seq_cur < tree.seq_last
  if
    typed
    and not pasted
    and not undone
    and config.current.automatic
    and not self:reason_off()
    and not place.inside_word(self.buf, cursor)
  then
    self:ask_soon()
  end
end

function Session:entered()
  self.tick, self.cursor = api.nvim_buf_get_changedtick(self.buf), cursor_now()
  self.pasted = false
  local line = api.nvim_get_current_line()
  if self.cursor[2] == #line and config.current.automatic and not self:reason_off() then
    local tree = vim.fn.undotree(self.buf)
    if tree.seq_cur >= tree.seq_last then
      self:ask_soon()
    end
  end
end

-- More new characters at one stroke than an abbreviation or a closing pair brings.
local TYPED_AT_ONCE = 12

--- What was inserted at one stroke tells typing from pasting. Indentation does not count, and a
--- name, with or without its brackets, comes from a completion menu.
function Session:bytes_changed(row, col, new_rows, new_cols)
  if not inserting() or self.accepting or vim.fn.pumvisible() == 1 then
    return
  end
  local last_row, last_col = row + new_rows, new_rows == 0 and col + new_cols or new_cols
  local ok, lines = pcall(api.nvim_buf_get_text, self.buf, row, col, last_row, last_col, {})
  local new = ok and vim.trim(table.concat(lines, '\n')) or ''
  if #new > TYPED_AT_ONCE and not new:match('^[%w_]+[()]*$') then
    self.pasted = true
  end
end

--- Accepts a part of what is shown: "all", "line" or "word". Returns whether there was anything.
function Session:accept(part)
  local suggestion, rest = self:shown()
  if not suggestion then
    return false
  end
  local piece = part == 'word' and Suggestion.word(rest)
    or part == 'line' and Suggestion.line(rest)
    or rest
  local whole = piece == rest
  self.accepting = true
  suggestion:insert(piece, whole)
  self.accepting = false
  self.tick, self.cursor = api.nvim_buf_get_changedtick(self.buf), cursor_now()
  if not whole then
    self:refresh()
    return true
  end
  self:drop()
  local client = vim.lsp.get_client_by_id(suggestion.client_id)
  if suggestion.command and client then
    local params = {
      command = suggestion.command.command,
      arguments = suggestion.command.arguments,
    }
    if vim.fn.has('nvim-0.11') == 1 then
      client:request('workspace/executeCommand', params, function() end, self.buf)
    else
      client.request('workspace/executeCommand', params, function() end, self.buf)
    end
  end
  return true
end

--- Shows another item, `step` further on.
function Session:cycle(step)
  if not self:shown() then
    return false
  end
  local count = #self.suggestions
  self.index = (self.index - 1 + step) % count + 1
  self:refresh(('(%d/%d)'):format(self.index, count))
  return true
end

function M.attach(buf)
  if sessions[buf] then
    return
  end
  local session = setmetatable({
    buf = buf,
    renderer = M.renderer(),
    suggestions = {},
    index = 1,
    tick = api.nvim_buf_get_changedtick(buf),
    cursor = { 0, 0 },
    pasted = false,
    block = false,
  }, Session)
  sessions[buf] = session
  if not session.renderer.attach(buf) then
    session.renderer = require('fimls.ghost')
  end

  local group = api.nvim_create_augroup('fimls.buffer' .. buf, { clear = true })
  local function on(events, action)
    api.nvim_create_autocmd(events, { group = group, buffer = buf, callback = action })
  end
  on('InsertEnter', function()
    session:entered()
  end)
  on({ 'TextChangedI', 'TextChangedP', 'CursorMovedI' }, function()
    session:changed()
  end)
  on({ 'InsertLeave', 'BufLeave' }, function()
    session.block = false
    session:drop()
  end)
  on('ModeChanged', function()
    -- I and A on a block repeat on every line what is typed on the first.
    if vim.v.event.old_mode:byte() == 22 and vim.v.event.new_mode:sub(1, 1) == 'i' then
      session.block = true
    end
  end)
  api.nvim_buf_attach(buf, false, {
    on_bytes = function(_, _, _, row, col, _, _, _, _, new_rows, new_cols)
      if sessions[buf] ~= session then
        return true
      end
      session:bytes_changed(row, col, new_rows, new_cols)
    end,
  })
  -- Attached in the middle of Insert mode (a file just named, a server just started).
  if api.nvim_get_current_buf() == buf and inserting() then
    session:entered()
  end
end

function M.detach(buf)
  local session = sessions[buf]
  if not session then
    return
  end
  session:drop()
  sessions[buf] = nil
  pcall(api.nvim_del_augroup_by_name, 'fimls.buffer' .. buf)
  if api.nvim_buf_is_valid(buf) then
    session.renderer.detach(buf)
  end
end

--- Buffers with a session.
function M.buffers()
  return vim.tbl_keys(sessions)
end

return M
