if vim.g.loaded_fimls then
  return
end
vim.g.loaded_fimls = true

local COMMANDS = {
  'toggle', 'trigger', 'status', 'restart', 'pull', 'explain', 'log', 'dismiss',
}

vim.api.nvim_create_user_command('Fimls', function(command)
  local name, scope = command.fargs[1] or 'status', command.fargs[2]
  local fimls = require('fimls')
  if name == 'status' then
    local status = fimls.status()
    local said = { 'fimls: ' .. status.state }
    for _, part in ipairs({ 'message', 'nextStep', 'model' }) do
      said[#said + 1] = status[part] ~= '' and status[part] or nil
    end
    said = { table.concat(said, '; '), require('fimls.server').message }
    vim.notify(table.concat(said, '\n'))
  elseif vim.tbl_contains(COMMANDS, name) then
    fimls[name](scope)
  else
    local known = table.concat(COMMANDS, ', ')
    vim.notify(('fimls: no command "%s"; there are %s'):format(name, known), vim.log.levels.ERROR)
  end
end, {
  nargs = '*',
  desc = 'fimls: toggle [buffer], trigger, status, restart, pull [model], explain, log',
  complete = function(lead, line)
    local words = line:match('toggle%s') and { 'buffer' } or COMMANDS
    return vim.tbl_filter(function(word)
      return vim.startswith(word, lead)
    end, words)
  end,
})

-- `setup()` in the user's own configuration comes first; `let g:fimls = v:false` prevents this,
-- and a table in g:fimls is taken as the options.
vim.api.nvim_create_autocmd('VimEnter', {
  once = true,
  callback = function()
    if not vim.g.fimls_ready and vim.g.fimls ~= false then
      require('fimls').setup(type(vim.g.fimls) == 'table' and vim.g.fimls or nil)
    end
  end,
})
if vim.v.vim_did_enter == 1 and not vim.g.fimls_ready and vim.g.fimls ~= false then
  -- A plugin manager loaded the plugin late; its own call of setup() comes first.
  vim.schedule(function()
    if not vim.g.fimls_ready then
      require('fimls').setup(type(vim.g.fimls) == 'table' and vim.g.fimls or nil)
    end
  end)
end
