--- fimls: completions that stop where they should. See :help fimls
local config = require('fimls.config')
local keys = require('fimls.keys')
local server = require('fimls.server')
local session = require('fimls.session')

local M = {}

--- Starts everything. Needed only to change an option: without it the plugin starts by itself.
---@param options? table  see :help fimls-options
function M.setup(options)
  if vim.fn.has('nvim-0.10') == 0 then
    return vim.notify('fimls: needs Neovim 0.10 or newer', vim.log.levels.ERROR)
  end
  config.set(options)
  vim.g.fimls_ready = true
  vim.api.nvim_set_hl(0, 'FimlsGhost', { default = true, link = 'NonText' })
  vim.api.nvim_set_hl(0, 'FimlsHint', { default = true, link = 'MoreMsg' })
  keys.setup()
  server.setup()
end

local function act(name, ...)
  local current = session.get()
  return current ~= nil and current[name](current, ...) or false
end

--- Puts the whole suggestion into the buffer. These return false where nothing is shown.
function M.accept()
  return act('accept', 'all')
end

function M.accept_line()
  return act('accept', 'line')
end

function M.accept_word()
  return act('accept', 'word')
end

function M.next()
  return act('cycle', 1)
end

function M.previous()
  return act('cycle', -1)
end

function M.dismiss()
  local current = session.get()
  local shown = current ~= nil and current:shown() ~= nil
  if current then
    current:drop()
  end
  return shown
end

--- Asks now, whatever `automatic` says.
function M.trigger()
  local current = session.get()
  if not current then
    return vim.notify('fimls: not at work in this buffer; see :checkhealth fimls')
  end
  local reason = current:reason_off()
  if reason then
    return vim.notify('fimls: ' .. reason)
  end
  current:ask(1) -- InlineCompletionTriggerKind.Invoked
end

--- Turns suggestions off or on again: everywhere, or with `buffer` in this buffer.
---@param scope? "buffer"
function M.toggle(scope)
  local where = scope == 'buffer' and vim.b or vim.g
  where.fimls_enabled = where.fimls_enabled == false
  if not where.fimls_enabled then
    for _, buf in ipairs(session.buffers()) do
      session.get(buf):drop()
    end
  end
  local place = scope == 'buffer' and ' in this buffer' or ''
  vim.notify('fimls: ' .. (where.fimls_enabled and 'on' or 'off') .. place)
end

--- What the server is doing: { state, message }; the event `User FimlsStatus` tells of changes.
---@return fimls.Status
function M.status()
  local current = session.get()
  local reason = current and current:reason_off()
  if reason then
    return { state = 'off', message = reason }
  end
  return server.status
end

local SIGNS = { stopped = '-', loading = '~', idle = '', thinking = '…', off = 'off', error = '!' }

--- The status in a few characters, for a statusline; empty where the plugin is not at work.
---@return string
function M.statusline()
  if not session.get() and server.status.state ~= 'error' then
    return ''
  end
  local sign = SIGNS[M.status().state] or ''
  return sign == '' and 'fimls' or 'fimls ' .. sign
end

-- In the order of reading; the server may tell more.
local FACTS = { 'stop_reason', 'cached', 'model', 'template', 'language', 'n_prompt',
  'n_evaluated', 'n_generated', 'n_discarded', 't_first_token_ms', 't_total_ms', 't_scope_ms',
  'session' }

--- The last completion as Markdown: its text, why it stopped, what it cost, the whole prompt.
---@return string[]
local function explanation(facts)
  local lines = { '# The last completion', '', facts.uri, '', '## Text', '', '````' }
  vim.list_extend(lines, vim.split(facts.text, '\n', { plain = true }))
  vim.list_extend(lines, { '````', '', '## Facts', '' })
  for _, name in ipairs(FACTS) do
    local value = facts[name]
    if value ~= nil and value ~= vim.NIL then
      local text = type(value) == 'number' and name:match('^t_') and ('%.1f'):format(value)
        or tostring(value)
      lines[#lines + 1] = ('- %s: %s'):format(name, text)
    end
  end
  vim.list_extend(lines, { '', '## Prompt', '', '````' })
  vim.list_extend(lines, vim.split(facts.prompt, '\n', { plain = true }))
  lines[#lines + 1] = '````'
  return lines
end

--- Shows what the model saw for the last completion, why it stopped and what it took.
function M.explain()
  server.execute('fimls.explain', {}, function(err, facts)
    if err then
      return vim.notify('fimls: ' .. err.message, vim.log.levels.WARN)
    elseif type(facts) ~= 'table' then
      return vim.notify('fimls: nothing has been completed yet')
    end
    vim.cmd('botright new')
    local buf = vim.api.nvim_get_current_buf()
    vim.bo[buf].buftype, vim.bo[buf].bufhidden, vim.bo[buf].swapfile = 'nofile', 'wipe', false
    vim.api.nvim_buf_set_lines(buf, 0, -1, false, explanation(facts))
    vim.bo[buf].modifiable, vim.bo[buf].filetype = false, 'markdown'
  end)
end

--- Fetches a model (by default the one that the settings name), with the server's progress.
---@param name? string
function M.pull(name)
  server.execute('fimls.pullModel', name and { name } or {}, function(err, done)
    if err then
      vim.notify('fimls: ' .. err.message, vim.log.levels.WARN)
    elseif done then
      vim.notify('fimls: the model is here')
    end
  end)
end

function M.restart()
  server.restart()
end

--- Opens Neovim's LSP log, where the server's own messages end up.
function M.log()
  vim.cmd.tabedit(vim.fn.fnameescape(vim.lsp.get_log_path and vim.lsp.get_log_path()
    or vim.lsp.log.get_filename()))
  vim.cmd('normal! G')
end

return M
